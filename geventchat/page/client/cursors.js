/** How far each room was read, to resume there. */

/** @import {Cursor, Cursors as Rooms, Joined} from "../protocol" */

const FRESH = 50; // posts that a new join replays at most

/** Follows the events of the rooms; says whether positions are consecutive. */
export class Cursors {
  /** @type {Map<string, Cursor | null>} by room; null until the first post after a new join */
  #rooms = new Map();
  /** @type {Map<string, string>} */
  #epochs = new Map();
  /** @type {Map<string, Cursor>} of new joins: all replay is after it */
  #begins = new Map();

  /** @returns {Rooms} where to resume, so that no post after a joined is missed */
  resume() {
    const rooms = [...this.#rooms];
    return Object.fromEntries(
      rooms.map(([room, cursor]) => [room, cursor ?? this.#begins.get(room) ?? null]),
    );
  }

  /** @param {string} room to be joined, from its newest posts unless it was joined already */
  ask(room) {
    if (!this.#rooms.has(room)) this.#rooms.set(room, null);
  }

  /** @param {string} room that was left, or could not be joined */
  leave(room) {
    this.#rooms.delete(room);
    this.#epochs.delete(room);
    this.#begins.delete(room);
  }

  /** @param {Joined} joined */
  joined({ room, epoch, position, oldest, recovered, change }) {
    const cursor = this.#rooms.get(room) ?? null;
    // Where nothing is replayed (resumed without loss, or joined already) the cursor stands.
    const stands = recovered || this.#epochs.get(room) === epoch;
    this.#epochs.set(room, epoch);
    if (!cursor && recovered) {
      this.#rooms.set(room, this.#begins.get(room) ?? null); // lost before its first post
    } else if (!cursor || recovered === false || !stands) {
      // Replay begins wherever the server chooses: nothing is known before its first post.
      // All that follows is as it is after the newest change, or tells of later ones.
      this.#rooms.set(room, position ? null : at(epoch, 0, change));
      this.#begins.set(room, at(epoch, Math.max(position - FRESH, oldest - 1, 0), change));
    }
  }

  /**
   * @param {string} room
   * @param {number} position of a post
   * @returns {boolean} whether it is the next one
   */
  post(room, position) {
    const epoch = this.#epochs.get(room);
    const cursor = this.#rooms.get(room);
    if (!epoch || (cursor && position !== cursor.position + 1)) return false;
    // Not the change of this post: there may be lower ones that were not heard yet.
    this.#rooms.set(room, at(epoch, position, (cursor ?? this.#begins.get(room))?.change));
    return true;
  }

  /** @param {string} room @param {number} change of a post of the room */
  changed(room, change) {
    const cursor = this.#rooms.get(room);
    if (cursor) this.#rooms.set(room, { ...cursor, change: Math.max(cursor.change ?? 0, change) });
  }
}

/** @param {string} epoch @param {number} position @param {number} [change] @returns {Cursor} */
function at(epoch, position, change) {
  return change ? { epoch, position, change } : { epoch, position };
}
