/** Tells the server how far its account has read each room, so that the other devices know. */

/** @import {Connection} from "../client/connection.js" */
/** @import {Conversation} from "./conversation.js" */
/** @import {Store} from "./store.js" */

const PAUSE_MS = 1_000; // between two of a room

export class Marks {
  #connection;
  /** @type {Map<Conversation, number>} timers of those that were told of a moment ago */
  #waits = new Map();

  /** @param {Store} store @param {Connection} connection */
  constructor(store, connection) {
    this.#connection = connection;
    store.listen((what, room) => {
      if (what === "seen" && room && !this.#waits.has(room)) this.#tell(room);
    });
  }

  /** Wait no longer: the user leaves the page. */
  flush() {
    for (const room of this.#waits.keys()) this.#tell(room);
  }

  /** @param {Conversation} room */
  #tell(room) {
    clearTimeout(this.#waits.get(room));
    this.#waits.delete(room);
    if (room.mark === null || room.read <= room.mark) return;
    room.mark = room.read;
    // One that is lost is told again after reconnecting, a refused one with the next.
    this.#connection.request("read", { room: room.name, position: room.read }).catch(() => {});
    this.#waits.set(room, window.setTimeout(() => this.#tell(room), PAUSE_MS));
  }
}
