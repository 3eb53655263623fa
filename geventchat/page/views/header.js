/** The head of the current conversation: its name, topic, number of members, who is typing. */

import { oneLine } from "../text/visible.js";
import { byId } from "./elements.js";
import { oncePerFrame } from "./frame.js";

/** @import {Chat} from "../chat/chat.js" */

export class Header {
  #chat;
  #draw = oncePerFrame(() => this.#render());
  #timer = 0;

  /** @param {Chat} chat */
  constructor(chat) {
    this.#chat = chat;
    chat.store.listen((what, conversation) => {
      const here = conversation === chat.store.current;
      if (what === "current" || (here && ["members", "typing", "log"].includes(what))) this.#draw();
    });
  }

  #render() {
    const { current } = this.#chat.store;
    const isRoom = current?.isDirect === false;
    byId("title").textContent = current ? oneLine(current.title) : "No room";
    byId("lock").toggleAttribute("hidden", !isRoom || !current.private);
    const topic = byId("topic");
    topic.textContent = isRoom ? oneLine(current.topic) : current ? (current.with ? "Conversation" : "Direct messages, not stored") : "";
    topic.toggleAttribute("disabled", !isRoom);
    topic.hidden = !topic.textContent;
    topic.title = isRoom ? topic.textContent : "";
    byId("open-members").hidden = byId("members").hidden = !isRoom;
    document.documentElement.dataset.kind = current ? (isRoom ? "room" : "direct") : "";
    byId("room-menu").hidden = !current;
    byId("count").textContent = isRoom ? current.members.count.toLocaleString() : "";
    const label = isRoom ? `Members: ${current.members.count}` : "Members";
    byId("open-members").setAttribute("aria-label", label);
    byId("message").setAttribute("placeholder", current ? `Message ${oneLine(current.title)}` : "");
    this.#typing();
  }

  #typing() {
    const { current } = this.#chat.store;
    const nicks = (current?.members.typing ?? []).map(oneLine);
    byId("typing").textContent = sentence(nicks);
    clearTimeout(this.#timer);
    if (nicks.length) this.#timer = window.setTimeout(() => this.#typing(), 1_000);
  }
}

/** @param {string[]} nicks */
function sentence(nicks) {
  if (!nicks.length) return "";
  if (nicks.length === 1) return `${nicks[0]} is typing…`;
  if (nicks.length === 2) return `${nicks[0]} and ${nicks[1]} are typing…`;
  return "Several people are typing…";
}
