/** The account of the user, and what comes with accounts: invitations, moderators, conversations. No DOM. */

import { load, save } from "../client/saved.js";

/** @import {Conversation} from "./conversation.js" */
/** @import {ClientEvent, Invited, Moderators, Muted, Person, Presence, Welcome} from "../protocol" */
/** @import {Store} from "./store.js" */

export class People {
  /** The id of the user's account; empty: a guest. */
  account = "";
  /** What the server supports beyond version 1. @type {Set<string>} */
  features = new Set();
  /** @type {Map<string, Invited>} by room */
  invitations = new Map();
  #store;

  /** @param {Store} store */
  constructor(store) {
    this.#store = store;
  }

  /** Whether the user can have conversations that the server keeps, and private rooms. */
  get isPrivate() {
    return this.account !== "" && this.features.has("private");
  }

  /** The conversation with somebody, if it is open. @param {string} account or nick */
  conversation(account) {
    return this.#store.withOne.find(({ with: other }) => other && [other.account, other.nick].includes(account));
  }

  /** @param {Welcome} welcome */
  welcome({ account = "", features }) {
    this.account = account;
    this.features = new Set(features);
    this.invitations.clear(); // those that still hold follow
  }

  /** @param {ClientEvent} event */
  hear(event) {
    switch (event.type) {
      case "signed_in":
        this.account = event.account;
        this.#store.rename(event.nick);
        break;
      case "invited":
        this.#invited(event);
        break;
      case "moderators":
        this.#moderators(event);
        break;
      case "muted":
        this.#muted(event);
        break;
    }
  }

  /** @param {Conversation} room */
  joined(room) {
    this.invitations.delete(room.name);
    if (room.with) this.savePartners();
  }

  /** @param {string} name @param {Conversation | undefined} room @param {string} [reason] */
  left(name, room, reason) {
    const wasInvited = this.invitations.delete(name);
    if (room && reason === "removed") this.#store.notice(`You were removed from ${room.title}.`, true);
    if (room && reason === "ended") this.#store.notice(`An operator has ended ${room.title}.`, true);
    if (wasInvited) this.#store.changed("rooms");
  }

  /** @param {Presence} presence */
  presence(presence) {
    const room = this.#store.rooms.get(presence.room);
    if (!room) return;
    room.members.hear(presence);
    const { nick, new_nick: renamed, account } = presence;
    if (nick && renamed) this.#follow(nick, renamed, account);
    if (nick && renamed && room.moderators.delete(nick)) room.moderators.add(renamed);
    this.#store.changed("members", room);
  }

  /**
   * Keep ignoring, or writing to, somebody who has changed their nick.
   * @param {string} nick
   * @param {string} renamed
   * @param {string} [account]
   */
  #follow(nick, renamed, account) {
    const store = this.#store;
    store.ignored.rename(nick, renamed);
    const kept = account ? this.conversation(account) : undefined;
    const direct = kept ?? store.directs.rename(nick, renamed);
    if (!direct || direct.with?.nick === renamed) return;
    if (kept && account) kept.with = { nick: renamed, account };
    this.savePartners();
    store.notice(`${nick} is now known as ${renamed}.`, false, direct);
    store.changed("rooms");
    if (direct === store.current) store.changed("current", direct);
  }

  // Known before the server says it again

  /** @param {string} room @returns {Person | null} */
  savedPartner(room) {
    if (!room.startsWith("@")) return null;
    return load("partners", /** @type {Record<string, Person>} */ ({}))[room] ?? { nick: "…", account: "" };
  }

  savePartners() {
    const rooms = this.#store.withOne.filter((room) => room.with);
    save("partners", Object.fromEntries(rooms.map((room) => [room.name, room.with])));
  }

  // Events

  /** @param {Invited} invited the user, or somebody whom the user has invited */
  #invited(invited) {
    if (invited.account !== this.account) return;
    const { room, by } = invited;
    const isNew = !this.invitations.has(room);
    this.invitations.set(room, invited);
    this.#store.changed("rooms");
    if (isNew) this.#store.notice(`${by} invites you to ${room}: /join ${room} accepts, /leave ${room} declines.`);
  }

  /** @param {Moderators} told */
  #moderators({ room: name, moderators }) {
    const room = this.#store.rooms.get(name);
    if (!room) return;
    room.moderators = new Set(moderators.map(({ nick }) => nick));
    room.moderator = moderators.some(({ account }) => account === this.account);
    this.#tell(room, `Moderators of ${name}: ${[...room.moderators].join(", ")}`);
    this.#store.changed("members", room);
  }

  /** @param {Muted} told */
  #muted({ room: name, nick, by, on, until }) {
    const room = this.#store.rooms.get(name);
    const end = until ? ` until ${new Date(until).toLocaleString()}` : "";
    const text = on ? `${by} has muted ${nick}${end}.` : `${by} has unmuted ${nick}.`;
    if (room) this.#tell(room, text);
  }

  /** Show a notice once: who asked is told twice. @param {Conversation} room @param {string} text */
  #tell(room, text) {
    if (room.items.at(-1)?.text !== text) this.#store.notice(text, false, room);
  }
}
