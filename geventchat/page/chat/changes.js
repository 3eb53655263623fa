/** Edits and takes back what was said. */

import { NotUnderstood } from "./commands.js";
import { read } from "./typed.js";
import { ACTION, isAction } from "../text/text.js";

/** @import {Connection} from "../client/connection.js" */
/** @import {Conversation, Item} from "./conversation.js" */
/** @import {Store} from "./store.js" */

export const SENDING = "Your last message is still being sent. Try again in a moment.";

export class Changes {
  #store;
  #connection;

  /** @param {Store} store @param {Connection} connection */
  constructor(store, connection) {
    this.#store = store;
    this.#connection = connection;
  }

  /** Whether the user may change the text of a message; the server decides. @param {Item} item */
  mayEdit(item) {
    return this.#may("edit", item) && item.own;
  }

  /** @param {Item} item of the current room */
  mayTakeBack(item) {
    const { current, operator } = this.#store;
    return this.#may("redact", item) && (item.own || operator || Boolean(current?.moderator));
  }

  /** @param {string} feature @param {Item} item */
  #may(feature, { position, redacted }) {
    return this.#store.people.features.has(feature) && position > 0 && !redacted;
  }

  /** The newest message of the user in the current room, if it can be edited. @returns {Item | undefined} */
  get last() {
    const { current } = this.#store;
    return current?.attached && !this.isSending ? current.items.findLast((item) => this.mayEdit(item)) : undefined;
  }

  /** Whether the newest message is on its way: it can be edited in a moment. */
  get isSending() {
    return Boolean(this.#store.current?.outgoing.some(({ state }) => state === "sending"));
  }

  /**
   * The position that is meant in the current room: one that was named, or the user's last message.
   * @param {string | undefined} named
   */
  position(named) {
    if (this.#store.current?.kind === "direct") throw new NotUnderstood("Messages here are not kept, so they cannot be changed.");
    if (!named && this.isSending) throw new NotUnderstood(SENDING);
    const position = named ? Number(named) : this.last?.position;
    if (!position) throw new NotUnderstood("You have said nothing here lately that can be changed.");
    return position;
  }

  /** @param {Conversation | null} room @param {number} position @param {string} text */
  async edit(room, position, text) {
    if (room) await this.#connection.request("edit", { room: room.name, position, text });
  }

  /** @param {Conversation | null} room @param {number} position */
  async takeBack(room, position) {
    if (room) await this.#connection.request("redact", { room: room.name, position });
  }
}

/** What one types to say a text, as it is shown to be edited. @param {string} text */
export function asTyped(text) {
  return text.startsWith("/") && !isAction(text) ? `/${text}` : text;
}

/** The text that a typed line stands for; throws NotUnderstood if it is a command. @param {string} line */
export function textOf(line) {
  const meant = read(line);
  if (typeof meant === "string") return meant;
  if (meant[0].name === "me") return `${ACTION}${meant[1]}`;
  throw new NotUnderstood("Not changed: it looks like a command. Begin with // to send it as text.");
}
