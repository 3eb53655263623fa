/**
 * Rooms that the server cannot open now: each is asked for again until it is joined.
 *
 * So it is while a disk or an engine is away. A room that is damaged for good is asked for twice a minute.
 */

const FIRST_MS = 1_000;
const MOST_MS = 30_000;

export class Rejoining {
  /** @type {Map<string, {attempts: number, timer: number}>} by room */
  #waiting = new Map();
  #join;

  /** @param {(room: string) => void} join asks for a room */
  constructor(join) {
    this.#join = join;
  }

  /** @param {string} room @returns {boolean} whether it waits */
  has(room) {
    return this.#waiting.has(room);
  }

  /** Ask for a room again after a pause. @param {string} room @returns {boolean} whether it was waiting already */
  refused(room) {
    const { attempts, timer } = this.#waiting.get(room) ?? { attempts: 0, timer: 0 };
    clearTimeout(timer);
    // By chance, so that the pages of a server are not in step when it is back.
    const pause = Math.min(FIRST_MS * 2 ** attempts, MOST_MS) * (1 - Math.random() / 2);
    const next = window.setTimeout(() => this.#join(room), pause);
    this.#waiting.set(room, { attempts: attempts + 1, timer: next });
    return attempts > 0;
  }

  /** Ask for a room no more. @param {string} room @returns {boolean} whether it was waiting */
  forget(room) {
    clearTimeout(this.#waiting.get(room)?.timer);
    return this.#waiting.delete(room);
  }

  /** Ask for no room any more: the connection has ended. */
  clear() {
    for (const room of [...this.#waiting.keys()]) this.forget(room);
  }
}
