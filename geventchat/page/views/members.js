/** Who is in the current room. */

import { oneLine } from "../text/visible.js";
import { avatar, byId, element, isolated } from "./elements.js";
import { oncePerFrame } from "./frame.js";

/** @import {Chat} from "../chat/chat.js" */

const MOST_SHOWN = 200;

export class MemberList {
  #chat;
  #draw = oncePerFrame(() => this.#render());
  /** @type {Map<string, HTMLLIElement>} */
  #entries = new Map();

  /** @param {Chat} chat @param {(nick: string, anchor: HTMLElement) => void} open the menu of a nick */
  constructor(chat, open) {
    this.#chat = chat;
    this.open = open;
    chat.store.listen((what, conversation) => {
      const here = what === "members" && conversation === chat.store.current;
      if (here || what === "current" || what === "nick") this.#draw();
    });
  }

  #render() {
    const { current, nick, others } = this.#chat.store;
    const isIn = current?.members.nicks.has(nick);
    const nicks = [...(isIn ? [nick] : []), ...others].slice(0, MOST_SHOWN);
    /** @type {Map<string, HTMLLIElement>} */
    const entries = new Map(nicks.map((each) => [each, this.#entries.get(each) ?? this.#entry(each)]));
    this.#entries = entries;
    for (const [each, entry] of entries) {
      entry.classList.toggle("own", each === nick);
      entry.classList.toggle("moderator", Boolean(current?.moderators.has(each) || (current?.moderator && each === nick)));
      entry.classList.toggle("ignored", this.#chat.store.ignored.has(each));
    }
    const list = byId("member-list");
    const shown = [...entries.values()];
    const same = shown.length === list.children.length && shown.every((each, i) => each === list.children[i]);
    if (!same) list.replaceChildren(...shown);
    const more = (current?.members.count ?? 0) - nicks.length;
    byId("more-members").textContent = more > 0 ? `and ${more.toLocaleString()} more` : "";
  }

  /** @param {string} nick */
  #entry(nick) {
    const button = element("button", { type: "button", "aria-haspopup": "menu" }, avatar(nick), isolated(nick));
    button.title = oneLine(nick);
    button.onclick = () => this.open(nick, button);
    return element("li", {}, button);
  }
}
