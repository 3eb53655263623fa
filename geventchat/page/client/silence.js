/**
 * Notices that the server is silent: a connection that is lost without a word says nothing.
 *
 * If something stays unanswered, or nothing came for longer than the server is ever silent, it is
 * asked; and if it does not answer that, the connection is dropped.
 */

const SILENCE_MS = 8_000; // how long something may be unanswered before the server is asked
const PONG_MS = 5_000; // how long it may take to answer that
const OFFLINE_PONG_MS = 2_000; // where the browser says that it is offline, which may concern others
const SHOWN_MS = 2_000; // when the user is told
const LOOK_MS = 1_000;

export class Silence {
  #heardAt = 0;
  #saidAt = 0;
  #pingedAt = 0;
  #timer = 0;
  #idleMs = 0;
  #actions;

  /** @param {{waits: () => boolean, ping: () => void, tell: (silent: boolean) => void, drop: () => void}} actions */
  constructor(actions) {
    this.#actions = actions;
  }

  /** Watch a connection. @param {number} pingSeconds after which the server says something at the latest */
  begin(pingSeconds) {
    this.end();
    this.#idleMs = (pingSeconds + 10) * 1000;
    this.#heardAt = Date.now();
    this.#timer = window.setInterval(() => this.#look(), LOOK_MS);
  }

  end() {
    clearInterval(this.#timer);
    this.#pingedAt = 0;
  }

  /** Something came. */
  heard() {
    this.#heardAt = Date.now();
    if (!this.#pingedAt) return;
    this.#pingedAt = 0;
    this.#actions.tell(false);
  }

  /** Something was sent that is answered. */
  said() {
    this.#saidAt = Date.now();
  }

  /** Ask the server whether it is there. */
  ask() {
    if (this.#pingedAt) return;
    this.#pingedAt = Date.now();
    this.#actions.ping();
  }

  #look() {
    const now = Date.now();
    if (this.#pingedAt) {
      const asked = now - this.#pingedAt;
      if (asked >= (navigator.onLine ? PONG_MS : OFFLINE_PONG_MS)) this.#actions.drop();
      else if (asked >= SHOWN_MS) this.#actions.tell(true);
      return;
    }
    const waits = this.#actions.waits();
    const since = waits ? Math.max(this.#heardAt, this.#saidAt) : this.#heardAt;
    if (now - since >= (waits ? SILENCE_MS : this.#idleMs)) this.ask();
  }
}
