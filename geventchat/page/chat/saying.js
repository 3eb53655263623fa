/** Sends what the user says: to rooms, where it is kept until it is stored, and to one nick. */

import { Ended } from "../client/connection.js";
import { NotUnderstood } from "./commands.js";

/** @import {Connection} from "../client/connection.js" */
/** @import {Conversation, Item} from "./conversation.js" */
/** @import {PrivateRooms} from "./private_rooms.js" */
/** @import {Store} from "./store.js" */

const TYPING_MS = 5_000; // between two
const TYPING_AGAIN_MS = 1_500; // after a message, which ends what the one before has shown

export class Saying {
  #store;
  #connection;
  #privately;
  #lastTyping = 0;

  /** @param {Store} store @param {Connection} connection @param {PrivateRooms} privately */
  constructor(store, connection, privately) {
    this.#store = store;
    this.#connection = connection;
    this.#privately = privately;
  }

  /** Send a text to the current conversation. @param {string} text */
  async say(text) {
    const to = this.#store.current;
    if (!to) throw new NotUnderstood("You are not in a room; join one with /join ROOM.");
    if (to.kind === "direct") await this.direct(to.name, text);
    else this.#store.say(this.#connection.say(to.name, text));
    this.#lastTyping = Math.min(this.#lastTyping, Date.now() - TYPING_MS + TYPING_AGAIN_MS);
  }

  /**
   * Send a text to somebody: of accounts the server keeps it, for a guest it is live and at most once.
   * @param {string} nick
   * @param {string} text
   */
  async direct(nick, text) {
    const room = await this.#privately.open(nick);
    if (room) {
      this.#store.enter(room);
      return this.#store.say(this.#connection.say(room.name, text));
    }
    if (!this.#connection.welcome) throw new Ended("Not sent: direct messages need a connection.");
    const conversation = this.#store.direct(nick);
    this.#store.enter(conversation);
    await this.#sendDirect(conversation, this.#store.sayDirect(nick, text));
  }

  /** @param {Conversation} conversation @param {Item} item */
  async #sendDirect(conversation, item) {
    try {
      await this.#connection.request("direct", { to: conversation.name, text: item.text });
      item.state = undefined;
    } catch (error) {
      Object.assign(item, { state: "failed", error: sentence(error) });
    }
    this.#store.directs.save();
    this.#store.changed("log", conversation);
  }

  /** Send a message again that was refused. @param {Conversation} conversation @param {Item} item */
  again(conversation, item) {
    if (conversation.kind === "room") {
      this.#store.say(this.#connection.say(conversation.name, item.text, item.key));
    } else {
      Object.assign(item, { state: "sending", error: undefined });
      this.#store.changed("log", conversation);
      this.#sendDirect(conversation, item);
    }
  }

  /** Forget a message that was refused. @param {Conversation} conversation @param {Item} item */
  discard(conversation, item) {
    conversation.outgoing = conversation.outgoing.filter((other) => other !== item);
    conversation.items = conversation.items.filter((other) => other !== item);
    this.#store.changed("log", conversation);
  }

  /** Tell the room that the user is typing, now and then. */
  type() {
    const room = this.#store.current;
    const now = Date.now();
    const quiet = now - this.#lastTyping < TYPING_MS || (room?.members.count ?? 0) > 150;
    if (room?.kind !== "room" || room.members.count < 2 || quiet) return;
    this.#lastTyping = now;
    this.#connection.typing(room.name);
  }
}

/** What an error says to the user. @param {unknown} error */
export function sentence(error) {
  return error instanceof Error ? error.message : String(error);
}
