/**
 * One conversation: a room, or the direct messages with one nick.
 *
 * Of a room only a window of its posts is kept, at most some thousand: what is above or below it is
 * loaded again by `history` when it is looked at, so that the memory of the tab stays flat.
 */

import { Members } from "./members.js";

/** @import {Edited, Joined, Person, Post, Redacted} from "../protocol" */

const MOST_ITEMS = 3_000;
const KEPT_ITEMS = 2_000; // after trimming, so that it is rare
const MOST_CHARACTERS = 4_000_000;

/**
 * What is shown in one conversation, in order: a message, a notice of this page, or a hole.
 * @typedef {{
 *   kind: "post" | "notice" | "gap", time: number, text: string, author: string, position: number,
 *   own: boolean, key?: string, state?: "sending" | "failed", error?: string,
 *   change?: number, redacted?: boolean, hook?: boolean,
 * }} Item
 * `change`: the number of its latest change, if it was edited or taken back.
 */

export class Conversation {
  joined = false;
  topic = "";
  members = new Members();
  /** Whether it is a private room, or the conversation of two accounts. */
  private = false;
  /** The other one, if it is the conversation of two accounts. @type {Person | null} */
  with = null;
  /** Whether the user moderates it. */
  moderator = false;
  /** @type {Set<string>} nicks of its moderators, as far as they were told */
  moderators = new Set();

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
  /** Rises when the window is replaced: what was asked for it before has no place any more. */
  window = 0;
  /** Whether the user reads somewhere above the newest messages. */
  scrolledUp = false;

  unread = 0;
  /** Unread posts that mention the user, as far as is known. */
  mentions = 0;
  /** Posts up to this position were read. */
  read = 0;
  /** How far the account has read, as the server knows; null: it keeps no such mark. @type {number | null} */
  mark = null;
  /** The unread line is drawn below this position; null: there is none. @type {number | null} */
  line = null;
  /** Posts up to this position are older than the join. */
  replayed = 0;
  /** Posts up to this position are counted as unread already, by the server. */
  counted = 0;
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

  /** What the user calls it. */
  get title() {
    return this.with?.nick ?? this.name;
  }

  /** Whether only one other person reads it. */
  get isDirect() {
    return this.kind === "direct" || this.with !== null;
  }

  get mentioned() {
    return this.mentions > 0;
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
    Object.assign(this, { private: joined.private ?? false, moderator: joined.moderator ?? false });
    this.with = joined.with ?? null;
    this.members.count = joined.count;
    if (joined.epoch !== this.epoch) {
      this.epoch = joined.epoch;
      this.line = null;
      this.read = 0;
    }
    this.oldest = joined.oldest;
    this.#forgetBelow(joined.oldest);
  }

  /** Something was missed: what is shown may have changed unnoticed, and is forgotten. */
  break() {
    const had = this.items.length > 0;
    this.clear();
    if (had) this.add({ ...NOTHING, kind: "gap", time: Date.now() });
    this.newest = this.replayed = this.counted = 0;
  }

  /** Forget the window, to begin again with the newest posts. */
  clear() {
    this.items = [];
    this.#characters = 0;
    this.first = this.last = 0;
    this.complete = false;
    this.window++;
  }

  /**
   * Show other posts: the window is then wherever they are, perhaps far above the newest.
   * @param {Post[]} posts consecutive, oldest first
   * @param {Item[]} items those of them that are shown
   * @param {boolean} complete whether nothing older is stored
   */
  replace(posts, items, complete) {
    this.clear();
    this.scrolledUp = true;
    this.loadOlder(posts, items, complete);
  }

  /** What is not stored any more is not shown any more. @param {number} oldest */
  #forgetBelow(oldest) {
    if (!this.first || this.first >= oldest) return;
    if (this.last < oldest) return this.clear();
    this.items = this.items.filter(({ position }) => !position || position >= oldest);
    this.#characters = this.items.reduce((sum, { text }) => sum + text.length, 0);
    this.first = oldest;
    this.complete = true;
    this.window++;
  }

  /**
   * The post of a position, if it is in the window.
   * @param {number} position
   * @returns {Item | undefined}
   */
  at(position) {
    if (position < this.first || position > this.last) return undefined;
    return this.items.findLast((item) => item.position === position);
  }

  /**
   * Change a post, unless a later change of it is known. One that is not in the window comes changed.
   * @param {Edited | Redacted} event
   * @returns {Item | undefined} the post, if that has changed it
   */
  change(event) {
    const item = this.at(event.position);
    if (!item || (item.change ?? 0) >= event.change) return undefined;
    const text = event.type === "edited" ? event.text : "";
    this.#characters += text.length - item.text.length;
    return Object.assign(item, { text, change: event.change, redacted: event.type === "redacted" });
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
    if (this.items[0]?.kind === "gap") this.items.shift(); // nothing is missing there
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
export function itemOf({ author, time, text, position, key, change, redacted, hook }, own) {
  return { kind: "post", author, time, text, position, key, own, change, redacted, hook };
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
