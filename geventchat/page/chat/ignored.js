/** Whom the user does not want to read, kept over a reload. */

import { load, save } from "../client/saved.js";
import { fold } from "../text/names.js";

export class Ignored {
  /** @type {Set<string>} folded nicks */
  #nicks = new Set(load("ignored", []));

  get all() {
    return [...this.#nicks].sort();
  }

  /** @param {string} nick */
  has(nick) {
    return this.#nicks.has(fold(nick));
  }

  /** @param {string} nick @param {boolean} hides */
  set(nick, hides) {
    if (hides) this.#nicks.add(fold(nick));
    else this.#nicks.delete(fold(nick));
    save("ignored", this.all);
  }

  /** Go on ignoring somebody under a new nick. @param {string} nick @param {string} renamed */
  rename(nick, renamed) {
    if (!this.has(nick)) return;
    this.set(nick, false);
    this.set(renamed, true);
  }
}
