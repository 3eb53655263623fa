/** The message that is edited where one writes, and what was written there before. */

import { byId, element } from "./elements.js";

/** @import {Conversation, Item} from "../chat/conversation.js" */

export class Editing {
  /** @type {Item | null} */
  item = null;
  /** @type {Conversation | null} */
  room = null;
  /** What is in the input again when it ends. */
  draft = "";
  #strip = element("p", { id: "editing", hidden: true }, "Editing your message");
  #button = byId("composer").querySelector(".send");

  /** @param {() => void} cancel */
  constructor(cancel) {
    const button = element("button", { type: "button", onclick: cancel }, "Cancel");
    this.#strip.append(button);
    byId("composer").prepend(this.#strip);
  }

  /** @param {Conversation | null} room @param {Item} item @param {string} draft */
  begin(room, item, draft) {
    if (!this.item) this.draft = draft;
    Object.assign(this, { room, item });
    this.#show();
  }

  /** @returns {string} what was written before */
  end() {
    const { draft } = this;
    Object.assign(this, { item: null, room: null, draft: "" });
    this.#show();
    return draft;
  }

  #show() {
    this.#strip.hidden = !this.item;
    this.#button?.setAttribute("aria-label", this.item ? "Save" : "Send");
    this.#button?.setAttribute("title", this.item ? "Save" : "Send");
  }
}
