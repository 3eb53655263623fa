/** Loads the history of the current room, above and below what is kept of it. */

/** @import {Connection} from "../client/connection.js" */
/** @import {Conversation} from "./conversation.js" */
/** @import {Store} from "./store.js" */

const PAGE_POSTS = 100;

export class Paging {
  #store;
  #connection;

  /** @param {Store} store @param {Connection} connection */
  constructor(store, connection) {
    this.#store = store;
    this.#connection = connection;
  }

  /** Load older posts. @param {number} [limit] */
  async older(limit = PAGE_POSTS) {
    const room = this.#store.current;
    if (!room?.hasOlder || room.loading) return;
    await this.#load("older", room, { limit, before: room.first || undefined });
  }

  /** Load newer posts, below a window that does not end with the newest. */
  async newer() {
    const room = this.#store.current;
    if (!room || room.attached || room.loading || !room.last) return;
    await this.#load("newer", room, { limit: PAGE_POSTS, after: room.last });
  }

  /**
   * Show a message of the current room, wherever it is.
   * @param {Conversation} room
   * @param {number} position
   */
  async goTo(room, position) {
    if (!room.first || position < room.first || position > room.last) {
      room.window++; // what is being loaded has no place in the new one
      await this.#load("around", room, { limit: PAGE_POSTS, around: position });
    }
    const item = room.items.find((each) => each.position >= position);
    if (item && room === this.#store.current) this.#store.changed("show", room, item);
    if (item?.position !== position) this.#store.notice("That message is not here any more.", true, room);
  }

  /** Show the newest posts. */
  newest() {
    const room = this.#store.current;
    if (!room) return;
    room.scrolledUp = false;
    if (!room.attached) {
      if (room.last) room.clear();
      this.older();
    }
    this.#store.changed("log", room);
  }

  /**
   * @param {"older" | "newer" | "around"} where
   * @param {Conversation} room
   * @param {object} fields
   */
  async #load(where, room, fields) {
    const { epoch, window, first, last } = room;
    room.loading = true;
    try {
      const { posts, complete } = await this.#connection.request("history", { room: room.name, ...fields });
      const fits = {
        older: !first || room.first === first, newer: room.last === last, around: room === this.#store.current,
      };
      const isSame = room.epoch === epoch && room.window === window;
      if (isSame && fits[where]) this.#store.posts.load(where, room, posts, complete);
    } catch (error) {
      if (where === "around") throw error;
      // away: asked again after reconnecting
    } finally {
      room.loading = false;
      if (room.window !== window) this.#store.changed("log", room); // to load what is missing now
    }
  }
}
