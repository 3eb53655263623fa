/** Who is in a room, and who is typing there. */

/** @import {Members as Answer, Presence} from "../protocol" */

const TYPING_MS = 6_000;

export class Members {
  count = 0;
  /** @type {Set<string>} known nicks; all of them in rooms of at most 500 */
  nicks = new Set();
  /** Whether `who` was answered since the room was joined. */
  known = false;
  /** @type {Map<string, number>} by nick: until when they are shown as typing */
  #typing = new Map();

  /** @param {Answer} answer to `who` */
  set({ nicks, count }) {
    Object.assign(this, { nicks: new Set(nicks), count, known: true });
  }

  /** The connection is away: what changes meanwhile is not heard. */
  lose() {
    this.known = false;
    this.#typing.clear();
  }

  /** @param {Presence} presence */
  hear({ nick, event, new_nick: renamed = "", count }) {
    if (count !== undefined) this.count = count;
    if (nick === undefined) return;
    this.#typing.delete(nick);
    if (event === "join") {
      if (!this.nicks.has(nick)) this.count++;
      this.nicks.add(nick);
    } else if (event === "leave") {
      if (this.nicks.delete(nick)) this.count--;
    } else if (event === "rename") {
      this.rename(nick, renamed);
    }
  }

  /** @param {string} nick @param {string} renamed */
  rename(nick, renamed) {
    if (this.nicks.delete(nick)) this.nicks.add(renamed);
  }

  /** @param {string} nick who is typing */
  type(nick) {
    this.#typing.set(nick, Date.now() + TYPING_MS);
  }

  /** @param {string} nick who has said something */
  speak(nick) {
    this.#typing.delete(nick);
  }

  /** @returns {string[]} who is typing now */
  get typing() {
    const now = Date.now();
    for (const [nick, until] of this.#typing) if (until <= now) this.#typing.delete(nick);
    return [...this.#typing.keys()];
  }
}
