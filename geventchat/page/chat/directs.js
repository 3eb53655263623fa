/** The direct messages: a conversation for each nick. The server keeps none of them, this browser does. */

import { load, save } from "../client/saved.js";
import { fold } from "../text/names.js";
import { Conversation } from "./conversation.js";

/** @import {Item} from "./conversation.js" */

const SAVED_ITEMS = 100; // of each conversation
const SAVED_CHARACTERS = 500_000; // of all: a browser keeps some 5 million

export class Directs {
  /** @type {Map<string, Conversation>} by folded nick */
  #all = new Map();

  constructor() {
    const saved = load("directs", /** @type {Record<string, Item[]>} */ ({}));
    for (const [nick, items] of Object.entries(saved)) this.open(nick).items = items;
  }

  get all() {
    return [...this.#all.values()];
  }

  /** @param {string} nick */
  find(nick) {
    return this.#all.get(fold(nick));
  }

  /** @param {string} nick @returns {Conversation} begun if there was none */
  open(nick) {
    const known = this.find(nick);
    if (known) return known;
    const begun = new Conversation("direct", nick);
    begun.complete = true;
    this.#all.set(fold(nick), begun);
    return begun;
  }

  /** @param {Conversation} conversation */
  close(conversation) {
    this.#all.delete(fold(conversation.name));
    this.save();
  }

  /**
   * Go on under a new nick.
   * @param {string} nick
   * @param {string} renamed
   * @returns {Conversation | null} the conversation, if there was one
   */
  rename(nick, renamed) {
    const direct = this.find(nick);
    if (!direct || (fold(nick) !== fold(renamed) && this.find(renamed))) return null;
    this.#all.delete(fold(nick));
    direct.name = renamed;
    this.#all.set(fold(renamed), direct);
    this.save();
    return direct;
  }

  save() {
    let space = SAVED_CHARACTERS;
    const kept = this.all.map((direct) => {
      const posts = direct.items.filter((item) => item.kind === "post" && !item.state).slice(-SAVED_ITEMS);
      return [direct.name, posts.filter(({ text }) => (space -= text.length) > 0)];
    });
    save("directs", Object.fromEntries(kept));
  }
}
