/** The posts of the rooms: as they arrive, as they are loaded, as they change; and what of them is unread. */

import { itemOf, NOTHING } from "./conversation.js";
import { saw } from "./unread.js";
import { mentions } from "../text/mentions.js";

/** @import {Conversation} from "./conversation.js" */
/** @import {Edited, Post, Read, Redacted} from "../protocol" */
/** @import {Store} from "./store.js" */

export class Posts {
  #store;

  /** @param {Store} store */
  constructor(store) {
    this.#store = store;
  }

  /** @param {Post} post */
  add(post) {
    const room = this.#store.expect(post.room);
    const sent = this.#store.settle(post.room, post.key);
    const item = itemOf(post, sent || this.#isOwn(post));
    const seen = this.#store.sees(room) && room.attached;
    const hides = this.#hides(post);
    const isUnread = post.position > room.read && !item.own;
    const isNews = isUnread && !hides && !(room.with && post.redacted); // else there is nothing to read
    const isCounted = post.position <= room.counted;
    const mentioned = isUnread && this.#mentions(post.text);
    room.append(post, hides ? null : item);
    room.members.speak(post.author);
    if (isUnread && !isNews && isCounted) this.#discount(room, mentioned);
    if (!isNews || seen) {
      if (!room.unread && post.position > room.read) room.read = post.position;
    } else {
      const isFirst = isCounted || !room.unread;
      if (isFirst && (room.line === null || room.read > room.line)) room.line = post.position - 1;
      if (!isCounted) room.unread++;
      if (!isCounted && mentioned) room.mentions++;
      this.#store.changed("rooms");
    }
    if (isNews && post.position > room.replayed && (room.with || mentioned) && !post.redacted) {
      this.#store.changed("alert", room, item);
    }
    this.#store.changed("log", room, post.position > room.replayed && !hides ? item : undefined);
  }

  /** Count one less as unread. If that was the last one the server hears so, else it would go on counting it. @param {Conversation} room @param {boolean} mentioned */
  #discount(room, mentioned) {
    room.unread = Math.max(room.unread - 1, 0);
    room.mentions = Math.max(room.mentions - Number(mentioned), 0);
    if (!room.unread) {
      Object.assign(room, { read: room.newest, line: null });
      this.#store.changed("seen", room);
    }
    this.#store.changed("rooms");
  }

  /** @param {Edited | Redacted} event */
  change(event) {
    const room = this.#store.rooms.get(event.room);
    if (!room) return;
    const before = this.#mentions(room.at(event.position)?.text ?? "");
    const item = room.change(event);
    if (item && item.position > room.read && !item.own) {
      const after = this.#mentions(item.text);
      room.mentions = Math.max(room.mentions + Number(after) - Number(before), 0);
      if (after !== before) this.#store.changed("rooms");
      if (item.redacted && room.with) this.#discount(room, false);
    }
    if (item) this.#store.changed("log", room);
    const { position, change } = event;
    const text = event.type === "edited" ? event.text : "";
    this.#store.changed("change", room, item ?? { ...NOTHING, position, change, text, redacted: event.type === "redacted" });
  }

  /** The account has read a room, here or on another device. @param {Read} event */
  read(event) {
    const room = this.#store.rooms.get(event.room);
    if (!room || !saw(room, event, (text) => this.#mentions(text))) return;
    if (!this.#store.sees(room)) room.line = room.unread ? room.read : null;
    this.#store.changed("rooms");
    this.#store.changed("log", room);
  }

  /**
   * Put posts from the history where they belong: above the window, below it, or in its place.
   * @param {"older" | "newer" | "around"} where
   * @param {Conversation} room
   * @param {Post[]} posts consecutive, oldest first
   * @param {boolean} complete whether nothing older is stored
   */
  load(where, room, posts, complete) {
    const news = posts.filter(({ position }) => (
      where === "around" || !room.first || (where === "older" ? position < room.first : position > room.last)
    ));
    const shown = news.filter((post) => !this.#hides(post)).map((post) => itemOf(post, this.#isOwn(post)));
    if (where === "around") room.replace(news, shown, complete);
    else if (where === "older") room.loadOlder(news, shown, complete);
    else room.loadNewer(news, shown);
    this.#store.changed("log", room);
  }

  /** @param {string} text @returns {boolean} whether it mentions the user */
  #mentions(text) {
    return mentions(text, this.#store.nick).length > 0;
  }

  /** @param {Post} post */
  #hides(post) {
    return this.#store.ignored.has(post.author) && !this.#isOwn(post);
  }

  /** @param {Post} post */
  #isOwn(post) {
    const { account } = this.#store.people;
    return account || post.account ? post.account === account : post.author === this.#store.nick;
  }
}
