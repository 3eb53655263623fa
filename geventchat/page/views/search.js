/** The search: messages of the rooms one is in, the newest first; choosing one goes there. */

import { sentence } from "../chat/saying.js";
import { excerpt } from "../text/found.js";
import { oneLine } from "../text/visible.js";
import { byId, element, isolated, paint } from "./elements.js";
import { clock, day, hookMark } from "./message.js";

/** @import {Chat} from "../chat/chat.js" */
/** @import {Post} from "../protocol" */

const PAGE = 25;
const FROM = /(?:^|\s)from:(\S+)/i;

export class Search {
  #chat;
  #dialog = element("dialog", { id: "search", "aria-labelledby": "search-title" });
  #input = element("input", {
    type: "text", role: "searchbox", enterKeyHint: "search", "aria-label": "Words", placeholder: "Words, \"a phrase\", from:name", autocomplete: "off", maxLength: 200,
  });
  #here = element("input", { type: "checkbox" });
  #where = element("span");
  #list = element("ul", { "aria-label": "Messages found", role: "list" });
  #said = element("p", { className: "quiet", role: "status" });
  #error = element("p", { className: "error", role: "alert" });
  #more = element("button", { type: "button", hidden: true }, "Show more");
  /** @type {Map<string, {post: Post, entry: HTMLElement}>} by room and position */
  #found = new Map();
  #asked = 0;
  /** What was searched for, and where it goes on. @type {{text: string, author?: string, room?: string, before?: number}} */
  #query = { text: "" };

  /** @param {Chat} chat */
  constructor(chat) {
    this.#chat = chat;
    const form = element("form", { noValidate: true }, this.#input, element("button", { type: "submit", className: "primary" }, "Search"));
    form.onsubmit = (event) => {
      event.preventDefault();
      this.#begin();
    };
    const close = element("button", { type: "button", onclick: () => this.#dialog.close() }, "Close");
    this.#more.onclick = () => this.#find();
    this.#here.onchange = () => this.#begin();
    this.#dialog.append(
      element("h2", { id: "search-title" }, "Search messages"),
      form, element("label", { className: "check" }, this.#here, this.#where), this.#error,
      element("div", { className: "scroll" }, this.#list, this.#said, this.#more), element("footer", {}, close),
    );
    document.body.append(this.#dialog);
    const button = byId("search-messages");
    button.onclick = () => this.open();
    chat.store.listen((what, room, item) => {
      if (what === "status") button.hidden = !chat.store.people.features.has("search");
      if (what !== "change" || !room || !item) return;
      const found = this.#found.get(`${room.name} ${item.position}`);
      if (found) this.#place({ ...found.post, text: item.text, redacted: item.redacted });
    });
  }

  /** @param {string} [text] to search for at once */
  open(text) {
    const { current } = this.#chat.store;
    this.#where.textContent = current ? `Only in ${oneLine(current.title)}` : "";
    this.#here.disabled = current?.kind !== "room";
    if (this.#here.disabled) this.#here.checked = false;
    if (text) this.#input.value = text.slice(0, 200);
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#input.select();
    if (text) this.#begin();
  }

  #begin() {
    const room = this.#here.checked ? this.#chat.store.current?.name : undefined;
    const given = this.#input.value;
    this.#query = { text: given.replace(FROM, " ").trim(), author: FROM.exec(given)?.[1], room };
    this.#found.clear();
    this.#list.replaceChildren();
    this.#said.textContent = "";
    this.#more.hidden = true;
    if (this.#query.text) this.#find();
  }

  /** @returns {Promise<void>} */
  async #find() {
    const asked = ++this.#asked;
    this.#error.textContent = "";
    this.#more.disabled = true;
    try {
      const { posts, complete, before } = await this.#chat.connection.request("search", { ...this.#query, limit: PAGE });
      if (asked !== this.#asked) return; // an answer to what was searched before
      const { ignored } = this.#chat.store;
      for (const post of posts) if (!ignored.has(post.author)) this.#place(post);
      this.#query.before = before;
      if (!posts.length && before !== undefined) return this.#find(); // all of them have changed
      this.#more.hidden = before === undefined;
      const cut = "The search took too long; there may be more.";
      this.#said.textContent = !complete ? cut : this.#found.size ? "" : "Nothing was found.";
    } catch (error) {
      if (asked === this.#asked) this.#error.textContent = sentence(error);
    } finally {
      this.#more.disabled = false;
    }
  }

  /** Show a post, or what it is now. @param {Post} post */
  #place(post) {
    const id = `${post.room} ${post.position}`;
    const entry = this.#entry(post);
    const before = this.#found.get(id);
    if (before) before.entry.replaceWith(entry);
    else this.#list.append(entry);
    this.#found.set(id, { post, entry });
  }

  /** @param {Post} post */
  #entry({ room, position, author, time, text, redacted, hook }) {
    const name = element("b", {}, isolated(author));
    paint(name, author);
    const pieces = excerpt(text, this.#query.text).map(({ text: shown, marked }) => (marked ? element("mark", {}, shown) : shown));
    const button = element(
      "button",
      { type: "button" },
      element("small", {}, isolated(this.#chat.store.room(room)?.title ?? room), " · ", day(time), " ", clock(time)),
      element("span", { className: "text", dir: "auto" }, name, " ", ...hookMark(hook), " ", ...(redacted ? [element("em", {}, "This message was taken back.")] : pieces)),
    );
    button.onclick = () => this.#go(room, position);
    return element("li", {}, button);
  }

  /** @param {string} name @param {number} position */
  async #go(name, position) {
    const { paging, store } = this.#chat;
    const room = store.room(name);
    if (!room) return void (this.#error.textContent = `You are not in ${oneLine(name)} any more.`);
    try {
      this.#dialog.close();
      this.#chat.show(room);
      await paging.goTo(room, position);
    } catch (error) {
      this.#chat.notice(sentence(error), true);
    }
  }
}
