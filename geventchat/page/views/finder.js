/** The room finder: the rooms of the server, most members first; joins one, or makes one. */

import { sentence } from "../chat/saying.js";
import { Refused } from "../client/connection.js";
import { oneLine } from "../text/visible.js";
import { byId, element, isolated } from "./elements.js";

/** @import {Chat} from "../chat/chat.js" */
/** @import {ListedRoom} from "../protocol" */

const PAGE = 50;
const PAUSE_MS = 200; // between two letters

export class Finder {
  #chat;
  #dialog = /** @type {HTMLDialogElement} */ (byId("finder"));
  #input = element("input", {
    type: "search", "aria-label": "Room name", placeholder: "Name of a room", autocomplete: "off", spellcheck: false, maxLength: 128,
  });
  #list = element("ul", { "aria-label": "Rooms found", role: "list" });
  #error = element("p", { className: "error", role: "alert" });
  #more = element("button", { type: "button", hidden: true }, "Show more");
  #timer = 0;
  #asked = 0;
  /** @type {string | undefined} */
  #next;

  /** @param {Chat} chat */
  constructor(chat) {
    this.#chat = chat;
    const form = element("form", { noValidate: true }, this.#input, element("button", { type: "submit", className: "primary" }, "Join"));
    form.onsubmit = (event) => {
      event.preventDefault();
      this.#join(this.#input.value.trim() || this.#first());
    };
    const close = element("button", { type: "button" }, "Close");
    close.onclick = () => this.#dialog.close();
    this.#more.onclick = () => this.#find(true);
    this.#input.oninput = () => {
      clearTimeout(this.#timer);
      this.#timer = window.setTimeout(() => this.#find(false), PAUSE_MS);
    };
    this.#dialog.append(
      element("h2", { id: "finder-title" }, "Find a room"),
      element("p", { className: "quiet" }, "A name that no room has yet makes a new one."),
      form, this.#error, element("div", { className: "scroll" }, this.#list, this.#more), element("footer", {}, close),
    );
  }

  /** @param {string} [prefix] */
  open(prefix = "") {
    this.#input.value = prefix;
    this.#error.textContent = "";
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#input.select();
    this.#find(false);
  }

  /** @param {boolean} more */
  async #find(more) {
    const asked = ++this.#asked;
    const prefix = this.#input.value.trim().replace(/^#(?=.)/, ""); // as people write rooms
    try {
      let found = await this.#page(prefix, more ? this.#next : undefined);
      while (!found.rooms.length && found.next) found = await this.#page(prefix, found.next);
      if (asked !== this.#asked) return; // an answer to what was typed before
      this.#next = found.next;
      const entries = found.rooms.map((room) => this.#entry(room));
      if (more) this.#list.append(...entries);
      else this.#list.replaceChildren(...entries);
      this.#more.hidden = !found.next;
      this.#error.textContent = "";
    } catch (error) {
      const isOld = error instanceof Refused && error.code === "unknown_type";
      if (asked === this.#asked) this.#error.textContent = isOld ? "This server cannot list its rooms." : sentence(error);
    }
  }

  /** @param {string} prefix @param {string} [after] */
  #page(prefix, after) {
    return this.#chat.connection.request("rooms", { prefix: prefix || undefined, limit: PAGE, after });
  }

  /** @param {ListedRoom} room */
  #entry({ name, topic = "", members }) {
    const people = `${members.toLocaleString()} member${members === 1 ? "" : "s"}`;
    const here = this.#chat.store.room(name)?.joined ? "joined" : people;
    const button = element(
      "button",
      { type: "button" },
      element("span", { className: "hash", "aria-hidden": "true" }),
      element("span", { className: "grow" }, isolated(name), element("small", {}, oneLine(topic))),
      element("span", { className: "quiet" }, here),
    );
    button.onclick = () => this.#join(name);
    return element("li", {}, button);
  }

  #first() {
    return this.#list.querySelector("bdi")?.textContent ?? "";
  }

  /** @param {string} name */
  async #join(name) {
    if (!name) return;
    try {
      await this.#chat.join(this.#chat.roomName(name));
      this.#dialog.close();
    } catch (error) {
      this.#error.textContent = sentence(error);
    }
  }
}
