/** The list of conversations: rooms and direct messages, with what is unread in them. */

import { oneLine } from "../text/visible.js";
import { avatar, byId, CROSS, element, icon, isolated, LOCK } from "./elements.js";
import { oncePerFrame } from "./frame.js";

/** @import {Chat} from "../chat/chat.js" */
/** @import {Conversation} from "../chat/conversation.js" */

/** @typedef {Record<"item" | "open" | "label" | "badge" | "close", HTMLElement>} Entry */

export class RoomList {
  #chat;
  #draw = oncePerFrame(() => this.#render());
  /** @type {Map<Conversation, Entry>} */
  #entries = new Map();

  /** @param {Chat} chat */
  constructor(chat) {
    this.#chat = chat;
    chat.store.listen((what) => {
      if (["rooms", "current", "nick", "status"].includes(what)) this.#draw();
    });
    this.#draw();
  }

  #render() {
    const { store } = this.#chat;
    const { people, withOne } = store;
    this.#fill(byId("room-list"), store.all.filter((each) => !each.isDirect));
    this.#fill(byId("direct-list"), withOne);
    byId("directs-title").hidden = withOne.length === 0 && !people.isPrivate;
    byId("new-private").hidden = byId("all-conversations").hidden = !people.isPrivate;
    const waiting = withOne.reduce((sum, { unread }) => sum + unread, 0);
    byId("directs-title").dataset.unread = waiting ? `${waiting} unread` : "";
    for (const known of this.#entries.keys()) if (!store.all.includes(known)) this.#entries.delete(known);
    const elsewhere = store.all.some((each) => each !== store.current && (each.mentioned || this.#isPersonal(each)));
    byId("open-rooms").querySelector(".dot")?.toggleAttribute("hidden", !elsewhere && !people.invitations.size);
    byId("my-nick").textContent = oneLine(store.nick);
    const status = store.operator ? "operator" : "online";
    byId("my-status").textContent = store.status.isOnline ? status : "away";
    avatar(store.nick, /** @type {HTMLElement} */ (byId("me").querySelector(".avatar")));
  }

  /** @param {Conversation} each */
  #isPersonal(each) {
    return each.isDirect && each.unread > 0;
  }

  /** @param {HTMLElement} list @param {Conversation[]} conversations */
  #fill(list, conversations) {
    const entries = conversations.map((each) => this.#entry(each));
    const same = entries.length === list.children.length && entries.every((each, i) => each === list.children[i]);
    if (!same) list.replaceChildren(...entries); // else what has the focus keeps it
  }

  /** @param {Conversation} conversation */
  #entry(conversation) {
    const entry = this.#entries.get(conversation) ?? this.#make(conversation);
    this.#entries.set(conversation, entry);
    const { unread, mentioned, title } = conversation;
    const { open, label, badge, close } = entry;
    if (conversation === this.#chat.store.current) open.setAttribute("aria-current", "page");
    else open.removeAttribute("aria-current");
    label.textContent = label.title = oneLine(title);
    const isLocked = conversation.private && !conversation.isDirect;
    if (isLocked && !open.querySelector(".hash svg")) open.querySelector(".hash")?.replaceChildren(icon(LOCK));
    if (conversation.isDirect) avatar(title, /** @type {HTMLElement} */ (open.querySelector(".avatar")));
    entry.item.classList.toggle("unread", unread > 0);
    const spoken = element("span", { className: "unseen" }, mentioned ? " unread, mentions you" : " unread");
    badge.replaceChildren(unread > 999 ? "999+" : String(unread), spoken);
    badge.classList.toggle("personal", mentioned || this.#isPersonal(conversation));
    badge.hidden = unread === 0;
    close.setAttribute("aria-label", `${close.title} ${oneLine(title)}`);
    return entry.item;
  }

  /** @param {Conversation} conversation @returns {Entry} */
  #make(conversation) {
    const direct = conversation.isDirect;
    const mark = direct ? avatar(conversation.title) : element("span", { className: "hash", "aria-hidden": "true" });
    const label = isolated(conversation.title);
    const badge = element("span", { className: "badge" });
    const open = element("button", { type: "button" }, mark, element("span", { className: "grow" }, label), badge);
    open.onclick = () => this.#chat.show(conversation);
    const title = direct ? "Close" : "Leave";
    const close = element("button", { type: "button", className: "close", title }, icon(CROSS));
    close.onclick = () => this.#close(conversation);
    return { item: element("li", {}, open, close), open, label, badge, close };
  }

  /** @param {Conversation} conversation */
  async #close(conversation) {
    try {
      if (conversation.kind === "room" && conversation.joined) await this.#chat.leave(conversation.name);
      else this.#chat.store.close(conversation);
    } catch (error) {
      this.#chat.notice(error instanceof Error ? error.message : String(error), true);
    }
  }
}
