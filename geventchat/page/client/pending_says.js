/**
 * Messages that are not acknowledged yet: kept over a reload, sent again on the next connection.
 *
 * Each is saved by itself, so that a tab that takes over from another loses none. The server knows
 * a repeated one by its key.
 */

import { load, randomKey, save, saved } from "./saved.js";

/** @import {Say} from "../protocol" */

const MAX_MESSAGES = 1_000;
const MAX_CHARACTERS = 2_000_000; // a browser keeps some 5 million
const PREFIX = "say.";

/** There are too many: this one was not queued. */
export class TooManyPending extends Error {}

export class PendingSays {
  /** @type {Map<string, {say: Say, name: string}>} by key, in order */
  #pending = new Map();
  #characters = 0;
  #last = 0;

  constructor() {
    this.read();
  }

  /** Read again what is saved: another tab may have left some since, or sent some. */
  read() {
    this.#pending.clear();
    this.#characters = 0;
    for (const name of saved(PREFIX)) {
      const say = load(name, /** @type {Say | null} */ (null));
      if (say) this.#add(say, name);
      this.#last = Math.max(this.#last, parseInt(name.slice(PREFIX.length), 10) || 0);
    }
  }

  /** @returns {Say[]} in order */
  get all() {
    return [...this.#pending.values()].map(({ say }) => say);
  }

  /**
   * Queue a message for a room.
   * @param {string} room
   * @param {string} text
   * @param {string} [key] of one that failed and is sent again
   */
  add(room, text, key = Date.now() + randomKey()) {
    if (this.#pending.size >= MAX_MESSAGES || this.#characters >= MAX_CHARACTERS) {
      throw new TooManyPending("Too many messages are waiting to be sent. Wait for some.");
    }
    const say = { room, text, key };
    this.#last = Math.max(this.#last + 1, Date.now()); // another tab counts on from here
    const name = `${PREFIX}${String(this.#last).padStart(16, "0")}`;
    save(name, say);
    this.#add(say, name);
    return say;
  }

  /**
   * Remove an acknowledged message.
   * @param {string | undefined} key
   * @returns {Say | undefined}
   */
  acknowledge(key) {
    const found = key === undefined ? undefined : this.#pending.get(key);
    if (!found) return undefined;
    this.#pending.delete(found.say.key);
    this.#characters -= found.say.text.length;
    save(found.name, undefined);
    return found.say;
  }

  /**
   * @param {Say} say
   * @param {string} name
   */
  #add(say, name) {
    this.#pending.set(say.key, { say, name });
    this.#characters += say.text.length;
  }
}
