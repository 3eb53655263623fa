/** The invitations into private rooms, above the rooms: each to accept or to decline. */

import { sentence } from "../chat/saying.js";
import { oneLine } from "../text/visible.js";
import { byId, CROSS, element, icon, isolated, LOCK } from "./elements.js";
import { oncePerFrame } from "./frame.js";

/** @import {Chat} from "../chat/chat.js" */
/** @import {Invited} from "../protocol" */

export class Invitations {
  #chat;
  #draw = oncePerFrame(() => this.#render());
  /** @type {Map<Invited, HTMLElement>} */
  #entries = new Map();

  /** @param {Chat} chat */
  constructor(chat) {
    this.#chat = chat;
    chat.store.listen((what) => ["rooms", "status"].includes(what) && this.#draw());
  }

  #render() {
    const invitations = [...this.#chat.store.people.invitations.values()];
    this.#entries = new Map(invitations.map((each) => [each, this.#entries.get(each) ?? this.#make(each)]));
    const entries = [...this.#entries.values()];
    byId("invitations-title").hidden = !entries.length;
    const list = byId("invitations");
    const same = entries.length === list.children.length && entries.every((each, i) => each === list.children[i]);
    if (!same) list.replaceChildren(...entries); // else what has the focus keeps it
  }

  /** @param {Invited} invited */
  #make({ room, by }) {
    const name = oneLine(room);
    const from = element("small", { className: "quiet" }, "from ", isolated(by));
    const verb = element("span", { className: "unseen" }, "Join ");
    const accept = element("button", { type: "button" },
      element("span", { className: "hash", "aria-hidden": "true" }, icon(LOCK)), element("span", { className: "grow" }, verb, isolated(room), " ", from));
    accept.onclick = () => this.#try(this.#chat.join(room));
    const decline = element("button", { type: "button", className: "close", title: "Decline", "aria-label": `Decline ${name}` }, icon(CROSS));
    decline.onclick = () => this.#try(this.#chat.leave(room));
    return element("li", {}, accept, decline);
  }

  /** @param {Promise<unknown>} done */
  #try(done) {
    done.catch((error) => this.#chat.notice(sentence(error), true));
  }
}
