/** How far the user has read each room, kept over a reload. */

import { load, save } from "../client/saved.js";

const SAVE_MS = 1_000;

export class Reads {
  /** @type {Record<string, {epoch: string, position: number}>} */
  #read = load("read", {});
  #timer = 0;

  /**
   * The position up to which a room was read, as far as is known.
   * @param {string} room
   * @param {string} epoch
   * @param {number} newest
   */
  of(room, epoch, newest) {
    const read = this.#read[room];
    return read?.epoch === epoch && read.position <= newest ? read.position : null;
  }

  /**
   * Note how far a room was read; saved within a second.
   * @param {string} room
   * @param {string} epoch
   * @param {number} position
   */
  note(room, epoch, position) {
    this.#read[room] = { epoch, position };
    this.#timer ||= window.setTimeout(() => this.save(), SAVE_MS);
  }

  save() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    save("read", this.#read);
  }

  /** Save nothing more: another tab knows better. */
  stop() {
    clearTimeout(this.#timer);
    this.save = () => {};
  }
}
