/**
 * The log of the current conversation: a window of rows near what the user looks at.
 *
 * Whatever is added or removed, the row at the top of the view stays where it is; at the end of the
 * log the view follows what arrives.
 */

import { day, row, separator } from "./message.js";
import { byId, element } from "./elements.js";
import { oncePerFrame } from "./frame.js";

/** @import {Chat} from "../chat/chat.js" */
/** @import {Conversation, Item} from "../chat/conversation.js" */

const MOST_ROWS = 160;
const STEP = 50; // rows added at an edge that the view comes near
const NEAR = 900; // pixels to an edge
const AT_END = 40;
const GROUP_MS = 5 * 60_000; // messages of one author within it are one group

export class Log {
  #chat;
  #scroller = byId("scroller");
  #list = byId("log");
  /** @type {Conversation | null} */
  #shown = null;
  /** @type {Map<Item | string, HTMLElement>} */
  #rows = new Map();
  /** @type {Item[]} those whose rows are in the page */
  #window = [];
  #following = true;
  /** The message to go to. @type {Item | null} */
  #target = null;
  #lastTop = 0;
  #lastEnd = 0;
  /** Asks for a drawing. */
  draw = oncePerFrame(() => this.#render());

  /** @param {Chat} chat */
  constructor(chat) {
    this.#chat = chat;
    chat.store.listen((what, conversation, item) => {
      if (what === "show") this.#target = item ?? null;
      const here = conversation === chat.store.current && what === "log";
      if (here || ["current", "nick", "show"].includes(what)) this.draw();
    });
    this.#scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    const resized = new ResizeObserver(() => this.#following && this.#toEnd());
    resized.observe(this.#scroller);
    resized.observe(this.#list);
  }

  /** The message of a row. @param {Element | null} row @returns {Item | undefined} */
  item(row) {
    for (const [key, shown] of this.#rows) if (shown === row && typeof key !== "string") return key;
    return undefined;
  }

  /** Scroll by parts of a page. @param {number} pages */
  page(pages) {
    this.#scroller.scrollBy({ top: pages * this.#scroller.clientHeight });
  }

  /** Go to the newest message, and follow. */
  follow() {
    this.#following = true;
    this.#window = [];
    this.#chat.paging.newest();
    this.draw();
  }

  /** Stay where the view is: a message there has become longer. Unless that is still the end. */
  stay() {
    this.#following = false;
    this.#scrolled();
  }

  #render() {
    const { current, attentive } = this.#chat.store;
    if (current !== this.#shown) this.#begin(current);
    if (!current) return;
    const target = this.#aim(current);
    const items = this.#choose(current);
    const rows = this.#wanted(current, items);
    this.#following ? this.#place(rows) : this.#keepingPlace(() => this.#place(rows));
    this.#window = items;
    if (this.#following) this.#toEnd();
    if (target) this.#reveal(target);
    this.#edges();
    if (this.#following && attentive) this.#chat.store.see(current);
    this.#button(current);
  }

  /** @param {Conversation | null} conversation */
  #begin(conversation) {
    this.#shown = conversation;
    this.#rows.clear();
    this.#list.replaceChildren();
    this.#window = [];
    this.#following = true;
    this.#list.setAttribute("aria-label", conversation ? `Messages in ${conversation.title}` : "Messages");
  }

  /** Put the window around the message to go to, if there is one. @param {Conversation} conversation */
  #aim(conversation) {
    const at = this.#target ? conversation.items.indexOf(this.#target) : -1;
    this.#target = null;
    if (at < 0) return null;
    this.#following = false;
    conversation.scrolledUp = true;
    this.#window = conversation.items.slice(Math.max(at - STEP, 0), at + STEP);
    return conversation.items[at];
  }

  /** @param {Item} item */
  #reveal(item) {
    const shown = this.#rows.get(item);
    if (!shown) return;
    for (const each of this.#list.querySelectorAll(".found")) each.classList.remove("found");
    shown.classList.add("found");
    shown.scrollIntoView({ block: "center" });
    shown.focus({ preventScroll: true });
    this.#note();
  }

  /** The items whose rows are to be in the page. @param {Conversation} conversation */
  #choose({ items }) {
    const at = this.#window.length ? items.indexOf(this.#window[0]) : -1;
    if (this.#following || !this.#window.length) {
      const most = at < 0 ? MOST_ROWS / 2 : Math.min(items.length - at, MOST_ROWS);
      return items.slice(-Math.max(most, MOST_ROWS / 2));
    }
    const last = items.indexOf(/** @type {Item} */ (this.#window.at(-1)));
    if (at < 0 && last < 0) return items.slice(0, MOST_ROWS);
    const begin = at < 0 ? 0 : at;
    return items.slice(begin, last < 0 ? begin + MOST_ROWS : Math.max(last + 1, begin + STEP));
  }

  /** @param {Conversation} conversation @param {Item[]} items @returns {[Item | string, Item | null, () => HTMLElement][]} */
  #wanted(conversation, items) {
    const all = conversation.items;
    const nick = this.#chat.store.nick;
    /** @type {[Item | string, Item | null, () => HTMLElement][]} */
    const rows = [];
    const before = all.indexOf(items[0]) - 1;
    const isEnd = items.at(-1) === all.at(-1) && (conversation.attached || !conversation.last);
    const begins = before < 0 && !conversation.hasOlder && (conversation.joined || conversation.kind === "direct");
    if (begins) rows.push([`begin ${conversation.name}`, null, () => begin(conversation)]);
    /** @type {Item | null} */
    let previous = all[before] ?? null;
    for (const item of isEnd ? [...items, ...conversation.outgoing] : items) {
      const date = new Date(item.time).toDateString();
      if (item.kind === "post" && (!previous || date !== new Date(previous.time).toDateString())) {
        const title = day(item.time); // at midnight Today becomes Yesterday
        rows.push([`day ${title}`, null, () => separator("day", title)]);
        previous = null;
      }
      const { line } = conversation;
      const above = previous?.position || line;
      if (line !== null && item.position > line && (above ?? 0) <= line && !item.own) {
        rows.push([`line ${line}`, null, () => separator("unread", "New")]);
        previous = null;
      }
      rows.push([item, previous, () => row(item, nick)]);
      previous = item;
    }
    return rows;
  }

  /** Put rows into the page in order, and those that are not wanted away. @param {[Item | string, Item | null, () => HTMLElement][]} wanted */
  #place(wanted) {
    const keys = new Set(wanted.map(([key]) => key));
    /** @type {Item | string | undefined} */
    let focused;
    for (const [key, shown] of this.#rows) {
      if (keys.has(key) && !isStale(key, shown)) continue;
      if (shown.contains(document.activeElement)) focused = key;
      shown.remove();
      this.#rows.delete(key);
    }
    let next = this.#list.firstElementChild;
    for (const [key, previous, make] of wanted) {
      let shown = this.#rows.get(key);
      if (!shown) {
        shown = make();
        if (typeof key !== "string") shown.dataset.state = state(key);
        this.#rows.set(key, shown);
      }
      if (shown === next) next = next.nextElementSibling;
      else this.#list.insertBefore(shown, next);
      if (typeof key !== "string") shown.classList.toggle("grouped", isGrouped(key, previous));
      if (key === focused) shown.focus({ preventScroll: true }); // its message has changed
    }
  }

  /** Change the page so that the first row in view stays where it is. @param {() => void} change */
  #keepingPlace(change) {
    const top = this.#scroller.getBoundingClientRect().top;
    const rows = /** @type {HTMLElement[]} */ ([...this.#list.children]);
    const inView = rows.filter((each) => each.getBoundingClientRect().bottom > top).slice(0, 3);
    const places = inView.map((each) => each.getBoundingClientRect().top);
    change();
    const at = inView.findIndex((each) => each.isConnected);
    if (at < 0) return;
    const moved = inView[at].getBoundingClientRect().top - places[at];
    if (Math.abs(moved) >= 1) this.#scroller.scrollTop += moved;
    this.#note();
  }

  #toEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#note();
  }

  /** Remember where the view is, to know what the user has scrolled from what the page has. */
  #note() {
    this.#lastTop = this.#scroller.scrollTop;
    this.#lastEnd = this.#scroller.scrollHeight - this.#scroller.clientHeight;
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    const end = scrollHeight - clientHeight;
    const isUp = scrollTop < this.#lastTop - 1 && end >= this.#lastEnd - 1; // else the log has shrunk
    if (isUp) this.#following = false;
    else if (end - scrollTop < AT_END && this.#isAtEnd()) this.#following = true;
    this.#note();
    const { current } = this.#chat.store;
    if (current) {
      current.scrolledUp = !this.#following;
      if (this.#following) this.#chat.store.see(current);
      this.#button(current);
    }
    this.#edges();
  }

  #isAtEnd() {
    const { current } = this.#chat.store;
    const isEnd = this.#window.at(-1) === current?.items.at(-1);
    return isEnd && (current?.attached || !current?.last);
  }

  /** Show more rows, or load more, where the view comes near an end of the window. */
  #edges() {
    const { current } = this.#chat.store;
    if (!current || current !== this.#shown) return;
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    const { items } = current;
    const begin = Math.max(items.indexOf(this.#window[0]), 0);
    const end = begin + this.#window.length;
    if (scrollTop < NEAR) {
      if (begin > 0) this.#move(items, Math.max(begin - STEP, 0), end, true);
      else if (current.hasOlder) this.#chat.paging.older();
    }
    if (!this.#following && scrollHeight - scrollTop - clientHeight < NEAR) {
      if (end < items.length) this.#move(items, begin, Math.min(end + STEP, items.length), false);
      else if (!current.attached) this.#chat.paging.newer();
    }
  }

  /** @param {Item[]} items @param {number} begin @param {number} end @param {boolean} up */
  #move(items, begin, end, up) {
    if (this.#following && end - begin > MOST_ROWS) return;
    if (up) end = Math.min(end, begin + MOST_ROWS);
    else begin = Math.max(begin, end - MOST_ROWS);
    this.#window = items.slice(begin, end);
    this.draw();
  }

  /** @param {Conversation} conversation */
  #button({ unread, attached }) {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    const away = !this.#following && (scrollHeight - scrollTop - clientHeight > clientHeight / 2 || !attached);
    const button = byId("new-messages");
    button.hidden = !(away || (unread && !this.#following));
    const news = unread ? `${unread} new message${unread > 1 ? "s" : ""}` : "Newest messages";
    if (button.textContent !== news) button.textContent = news;
  }
}

/** @param {Item | string} key @param {HTMLElement} shown */
function isStale(key, shown) {
  return typeof key !== "string" && state(key) !== shown.dataset.state;
}

/** What a row shows of a message that may change. @param {Item} item */
function state({ state, change }) {
  return `${state ?? ""}${change ?? ""}`;
}

/** @param {Item} item @param {Item | null} previous */
function isGrouped(item, previous) {
  return (
    previous?.kind === "post" && item.kind === "post" && previous.author === item.author &&
    previous.hook === item.hook && previous.own === item.own &&
    item.time - previous.time < GROUP_MS
  );
}

/** @param {Conversation} conversation */
function begin({ kind, title, with: other }) {
  const between = `Messages between you and ${title}.`;
  const text = other ? `${between} They are stored, also while one of you is away.`
    : kind === "room" ? `This is the beginning of ${title}.`
      : `${between} The server does not keep them; this browser does.`;
  return element("p", { className: "begin" }, text);
}
