/** What the user does with private rooms, and with the conversations that the server keeps. */

import { Refused } from "../client/connection.js";
import { NotUnderstood } from "./commands.js";

/** @import {Connection} from "../client/connection.js" */
/** @import {Conversation} from "./conversation.js" */
/** @import {Store} from "./store.js" */

const PAGE = 50;
const LISTED = 20; // conversations that a new browser begins with

export class PrivateRooms {
  #store;
  #connection;

  /** @param {Store} store @param {Connection} connection */
  constructor(store, connection) {
    this.#store = store;
    this.#connection = connection;
  }

  /**
   * Make a private room.
   * @param {string} room
   * @param {boolean} fromJoin whether newcomers see only what is said after they have joined
   * @returns {Promise<string>} its name as the server spells it
   */
  async create(room, fromJoin) {
    const history = fromJoin ? "joined" : undefined;
    return (await this.#connection.request("create", { room, private: true, history })).room;
  }

  /** @param {string} nick @param {string} room */
  async invite(nick, room) {
    const invited = await this.#connection.request("invite", { room, nick });
    this.#store.notice(`${invited.nick} is invited to ${invited.room}.`);
  }

  /** Remove a member, or withdraw an invitation. @param {string} nick @param {string} room */
  async remove(nick, room) {
    const removed = await this.#connection.request("remove", { room, nick });
    this.#store.notice(`${removed.nick} is removed from ${removed.room}.`);
  }

  /** Make a member a moderator, or no longer. @param {string} nick @param {string} room @param {boolean} on */
  async moderator(nick, room, on) {
    await this.#connection.request("moderator", { room, nick, on });
  }

  /** @param {string} nick @param {string} room @param {boolean} on @param {number} [seconds] */
  async mute(nick, room, on, seconds) {
    await this.#connection.request("mute", { room, nick, on, seconds });
  }

  /** A page of the conversations, the latest first. @param {string} [after] the `next` of the page before */
  conversations(after) {
    if (!this.#store.people.isPrivate) throw new NotUnderstood("Only accounts have conversations that wait.");
    return this.#connection.request("conversations", { limit: PAGE, after });
  }

  /** List the latest conversations that are open on other devices; what is shown of them is joined. */
  async list() {
    const { people } = this.#store;
    if (!people.isPrivate) return;
    const { conversations } = await this.conversations();
    for (const { room: name, with: other, closed } of conversations.slice(0, LISTED)) {
      if (!closed) this.#store.expect(name).with = other;
    }
    people.savePartners();
    this.#store.changed("rooms");
  }

  /**
   * Open the conversation with somebody, which begins if there is none.
   * @param {string} nick
   * @returns {Promise<Conversation | null>} null: the user, or the other one, has no account
   */
  async open(nick) {
    const { people } = this.#store;
    if (!people.isPrivate) return null;
    const known = people.conversation(nick);
    if (known) return known;
    try {
      const { room } = await this.#connection.request("open", { with: nick });
      return this.#store.room(room) ?? null;
    } catch (error) {
      if (error instanceof Refused && error.code === "no_such_nick") return null;
      throw error;
    }
  }
}
