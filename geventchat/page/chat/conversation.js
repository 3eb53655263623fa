/**
 * One conversation: a room, or the direct messages with one nick.
 *
 * Of a room only a window of its posts is kept, at most some thousand: what is above or below it is
 * loaded again by `history` when it is looked at, so that the memory of the tab stays flat.
 */

import { Members } from "./members.js";

/** @import {Joined, Post} from "../protocol" */

const MOST_ITEMS = 3_000;
const KEPT_ITEMS = 2_000; // after trimming, so that it is rare
const MOST_CHARACTERS = 4_000_000;

/**
 * What is shown in one conversation, in order: a message, a notice of this page, or a hole.
 * @typedef {{
 *   kind: "post" | "notice" | "gap", time: number, text: string, author: string, position: number,
 *   own: boolean, key?: string, state?: "sending" | "failed", error?: string,
 * }} Item
 */

export class Conversation {
  joined = false;
  topic = "";
  members = new Members();

  /** @type {Item[]} */
  items = [];
  /** @type {Item[]} own messages that are not stored yet, or were refused */
  outgoing = [];
  epoch = "";
  /** Position of the oldest post that was stored when the room was joined. */
  oldest = 1;
  /** Position of the oldest loaded post; 0: none is. */
  first = 0;
  /** Position of the newest loaded post. */
  last = 0;
  /** Position of the newest post there is. */
  newest = 0;
  /** Whether nothing older is stored, or can be loaded. */
  complete = false;
  /** Whether posts are being loaded. */
  loading = false;
  /** Whether the user reads somewhere above the newest messages. */
  scrolledUp = false;

  unread = 0;
  mentioned = false;
  /** Posts up to this position were read. */
  read = 0;
  /** The unread line is drawn below this position; null: there is none. @type {number | null} */
  line = null;
  /** Posts up to this position are older than the join. */
  replayed = 0;
  #characters = 0;

  /**
   * @param {"room" | "direct"} kind
   * @param {string} name of the room, or the nick
   */
  constructor(kind, name) {
    this.kind = kind;
    this.name = name;
  }

  /** Under which its draft and the like are saved. */
  get id() {
    return `${this.kind}.${this.name}`;
  }

  /** Whether the window ends with the newest post. */
  get attached() {
    return this.last === this.newest;
  }

  /** Whether there is something above the window. */
  get hasOlder() {
    const more = this.first === 0 || this.first > this.oldest;
    return this.joined && !this.complete && this.newest > 0 && more;
  }

  /** @param {Joined} joined */
  enter(joined) {
    Object.assign(this, { joined: true, topic: joined.topic ?? "" });
    this.members.count = joined.count;
    if (joined.epoch !== this.epoch) {
      this.epoch = joined.epoch;
      this.line = null;
      this.read = 0;
    }
    this.oldest = joined.oldest;
  }

  /** Something is missing below what is shown: what follows is new. */
  break() {
    if (!this.attached) this.clear();
    if (this.items.length && this.items.at(-1)?.kind !== "gap") {
      this.add({ ...NOTHING, kind: "gap", time: Date.now() });
    }
    // What is above the gap is not stored any more, or in another order.
    this.complete = this.items.length > 0;
    if (!this.complete) this.first = 0;
    this.newest = this.last = this.replayed = 0;
  }

  /** Forget the window, to begin again with the newest posts. */
  clear() {
    this.items = [];
    this.#characters = 0;
    this.first = this.last = 0;
    this.complete = false;
  }

  /**
   * Add a post at the end, unless the window has no room for it there.
   * @param {Post} post
   * @param {Item | null} item null: it is not to be shown
   */
  append(post, item) {
    const attached = this.attached || !this.last;
    this.newest = post.position;
    if (!attached || (this.scrolledUp && this.#full)) return;
    this.last = post.position;
    this.first ||= post.position;
    if (item) this.add(item);
  }

  /** @param {Item} item that is shown now: a notice, a direct message, a post */
  add(item) {
    this.items.push(item);
    this.#characters += item.text.length;
    if (!this.scrolledUp) this.#trimTop();
  }

  /**
   * Put posts from the history above the window.
   * @param {Post[]} posts consecutive, oldest first
   * @param {Item[]} items those of them that are shown
   * @param {boolean} complete whether nothing older is stored
   */
  loadOlder(posts, items, complete) {
    this.complete = complete;
    if (!posts.length) return;
    this.items.unshift(...items);
    for (const item of items) this.#characters += item.text.length;
    this.first = posts[0].position;
    this.last ||= posts[posts.length - 1].position;
    this.newest = Math.max(this.newest, this.last);
    this.#trimBottom();
  }

  /**
   * Put posts from the history below the window.
   * @param {Post[]} posts consecutive, oldest first
   * @param {Item[]} items those of them that are shown
   */
  loadNewer(posts, items) {
    if (!posts.length) return;
    this.items.push(...items);
    for (const item of items) this.#characters += item.text.length;
    this.last = posts[posts.length - 1].position;
    this.#trimTop();
  }

  /** Remove what one nick has said. @param {(author: string) => boolean} isHidden */
  hide(isHidden) {
    this.items = this.items.filter((item) => item.kind !== "post" || item.own || !isHidden(item.author));
  }

  get #full() {
    return this.items.length >= MOST_ITEMS || this.#characters >= MOST_CHARACTERS;
  }

  #trimTop() {
    if (!this.#full) return;
    const gone = this.items.splice(0, this.#excess());
    for (const item of gone) this.#characters -= item.text.length;
    if (gone.some((item) => item.kind === "gap")) this.complete = false;
    const first = this.items.find((item) => item.kind === "post");
    if (first?.position) {
      if (first.position !== this.first) this.complete = false;
      this.first = first.position;
    }
  }

  #trimBottom() {
    if (!this.#full || this.kind === "direct") return;
    const gone = this.items.splice(this.items.length - this.#excess());
    for (const item of gone) this.#characters -= item.text.length;
    const last = this.items.findLast((item) => item.kind === "post");
    if (last) this.last = last.position;
  }

  /** How many items to drop from one end. */
  #excess() {
    if (this.#characters < MOST_CHARACTERS) return this.items.length - KEPT_ITEMS;
    return Math.ceil(this.items.length / 3);
  }
}

/** @type {Item} */
export const NOTHING = { kind: "notice", time: 0, text: "", author: "", position: 0, own: false };

/** @param {Post} post @param {boolean} own @returns {Item} */
export function itemOf({ author, time, text, position, key }, own) {
  return { kind: "post", author, time, text, position, key, own };
}

/**
 * A message of the user that is not stored yet.
 * @param {string} author
 * @param {string} text
 * @param {string} [key]
 * @returns {Item}
 */
export function sending(author, text, key) {
  return { ...NOTHING, kind: "post", author, time: Date.now(), text, own: true, key, state: "sending" };
}
