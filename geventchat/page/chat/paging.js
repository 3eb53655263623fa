/** Loads the history of the current room, above and below what is kept of it. */

/** @import {Connection} from "../client/connection.js" */
/** @import {Post} from "../protocol" */
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
    await this.#load(room, () => this.#page(room, limit, room.first || undefined));
  }

  /** Load newer posts, below a window that was trimmed there. */
  async newer() {
    const room = this.#store.current;
    if (!room || room.attached || room.loading || !room.last) return;
    await this.#load(room, async () => {
      let posts = /** @type {Post[]} */ ([]);
      let before = Math.min(room.last + PAGE_POSTS, room.newest) + 1;
      while (before > room.last + 1) {
        const page = await this.#page(room, before - room.last - 1, before);
        if (!page.posts.length) break;
        posts = [...page.posts, ...posts]; // an answer has some 256 KiB at most
        before = page.posts[0].position;
      }
      return { posts, complete: false };
    });
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

  /** @param {Conversation} room @param {number} limit @param {number} [before] */
  #page(room, limit, before) {
    return this.#connection.request("history", { room: room.name, limit, before });
  }

  /**
   * @param {Conversation} room
   * @param {() => Promise<{posts: Post[], complete: boolean}>} load
   */
  async #load(room, load) {
    const { epoch, first, last } = room;
    room.loading = true;
    try {
      const { posts, complete } = await load();
      const isSame = room.epoch === epoch && (room.first === first || !first) && room.last >= last;
      if (isSame) this.#store.history(room, posts, complete);
    } catch {
      // away: asked again after reconnecting
    } finally {
      room.loading = false;
    }
  }
}
