/**
 * The state of the page: conversations, members, what is unread, what is not sent yet. No DOM.
 *
 * Events of the connection in, changes out: each names what changed, for the views to draw.
 */

import { Conversation, NOTHING, sending } from "./conversation.js";
import { Directs } from "./directs.js";
import { Ignored } from "./ignored.js";
import { People } from "./people.js";
import { Posts } from "./posts.js";
import { Reads } from "./reads.js";
import { Status } from "./status.js";
import { begin, resume } from "./unread.js";
import { compare, foldRoom } from "../text/names.js";
import { save } from "../client/saved.js";

/** @import {Item} from "./conversation.js" */
/** @import {ClientEvent, Joined, Members, Say, ServerError, Welcome} from "../protocol" */

/**
 * What changed: of a conversation its log, its members, who is typing; or the list of
 * conversations, the current one, the connection, the nick. `alert`: somebody wants the user.
 * `change`: a post was edited or taken back. `seen`: the user has read on. `show`: go to a message.
 * @typedef {"log" | "members" | "typing" | "rooms" | "current" | "status" | "nick" | "alert" | "change" | "seen" | "show"} What
 * @typedef {(what: What, conversation: Conversation | null, item?: Item) => void} Listener
 */

export class Store {
  nick = "";
  operator = false;
  people = new People(this);
  posts = new Posts(this);
  status = new Status();
  reads = new Reads();
  directs = new Directs();
  /** @type {Map<string, Conversation>} by name, in the order of joining */
  rooms = new Map();
  /** @type {Conversation | null} */
  current = null;
  /** Whether the user looks at the page. */
  attentive = true;
  ignored = new Ignored();
  /** @type {Listener[]} */
  #listeners = [];

  /** @param {Listener} listener */
  listen(listener) {
    this.#listeners.push(listener);
  }

  /**
   * @param {What} what
   * @param {Conversation | null} [conversation]
   * @param {Item} [item]
   */
  changed(what, conversation = null, item) {
    for (const listener of this.#listeners) listener(what, conversation, item);
  }

  /** @returns {Conversation[]} in the order of the list */
  get all() {
    return [...this.rooms.values()].filter((room) => !room.with).concat(this.withOne);
  }

  /** @returns {Conversation[]} with one other person: those that the server keeps, and those it does not */
  get withOne() {
    return [...this.rooms.values()].filter((room) => room.with).concat(this.directs.all);
  }

  /** @param {string} name @returns {Conversation | undefined} a room the user is in */
  room(name) {
    return this.rooms.get(foldRoom(name));
  }

  /** @param {string} nick @returns {Conversation} begun if there was none */
  direct(nick) {
    const direct = this.directs.find(nick) ?? this.directs.open(nick);
    this.changed("rooms");
    return direct;
  }

  /** @param {string} name @returns {Conversation} the room, which may be joined later */
  expect(name) {
    const known = this.rooms.get(name);
    if (known) return known;
    const room = new Conversation("room", name);
    room.with = this.people.savedPartner(name);
    this.rooms.set(name, room);
    this.#saveRooms();
    this.changed("rooms");
    return room;
  }

  /** Show a conversation. @param {Conversation | null} conversation */
  enter(conversation) {
    if (this.current === conversation) return;
    if (this.current) Object.assign(this.current, { scrolledUp: false, line: null });
    if (this.current && !this.current.attached) this.current.clear();
    this.current = conversation;
    if (conversation) save("current", { kind: conversation.kind, name: conversation.name });
    this.changed("current", conversation);
  }

  /** Close a conversation; another one is shown. @param {Conversation} conversation */
  close(conversation) {
    const at = this.all.indexOf(conversation);
    if (conversation.kind === "room") this.rooms.delete(conversation.name);
    else this.directs.close(conversation);
    this.#saveRooms();
    if (this.current === conversation) this.enter(this.all[Math.max(at - 1, 0)] ?? null);
    this.changed("rooms");
  }

  // What is read

  /** Note that the user has seen the newest message. @param {Conversation} conversation */
  see(conversation) {
    conversation.scrolledUp = false;
    if (!this.attentive || !conversation.attached) return;
    const news = conversation.unread > 0;
    const read = Math.max(conversation.read, conversation.newest);
    Object.assign(conversation, { unread: 0, mentions: 0, read });
    if (conversation.epoch) this.reads.note(conversation.name, conversation.epoch, read);
    this.changed("seen", conversation);
    if (news) this.changed("rooms");
  }

  /** @param {Conversation} conversation @returns {boolean} whether what arrives is seen at once */
  sees(conversation) {
    return conversation === this.current && this.attentive && !conversation.scrolledUp;
  }

  // What the user does

  /** Show a notice of this page in a conversation. @param {string} text @param {boolean} [isError] */
  notice(text, isError = false, conversation = this.current) {
    if (!conversation) return;
    const item = { ...NOTHING, text, error: isError ? text : undefined, time: Date.now() };
    conversation.add(item);
    this.changed("log", conversation, item);
  }

  /** Show a message of the user that is not stored yet. @param {Say} say */
  say({ room, text, key }) {
    const to = this.expect(room);
    to.outgoing = to.outgoing.filter((item) => item.key !== key);
    to.outgoing.push(sending(this.nick, text, key));
    to.line = null;
    this.changed("log", to);
  }

  /** Show a direct message of the user. @param {string} nick @param {string} text @returns {Item} */
  sayDirect(nick, text) {
    const to = this.direct(nick);
    const item = sending(this.nick, text);
    to.add(item);
    this.changed("log", to);
    return item;
  }

  /** Hide what a nick says, or no longer. @param {string} nick @param {boolean} hides */
  ignore(nick, hides) {
    this.ignored.set(nick, hides);
    for (const conversation of this.all) {
      if (hides) conversation.hide((author) => this.ignored.has(author));
      else if (conversation.kind === "room") conversation.clear(); // loaded again, with what was hidden
      this.changed("log", conversation);
    }
    this.changed("members", this.current);
  }

  // Events

  /** @param {ClientEvent} event */
  hear(event) {
    if (this.status.hear(event)) {
      if (event.type === "welcome") this.#welcome(event);
      if (event.type === "disconnected") this.#away();
      if (this.status.is === "taken") this.handOver();
      return this.changed("status");
    }
    switch (event.type) {
      case "joined":
        return this.#joined(event);
      case "left":
        return this.#left(event.room, event.reason);
      case "waiting":
        return this.#waits(event.room, event.why);
      case "gap":
        this.rooms.get(event.room)?.break();
        return;
      case "post":
        return this.posts.add(event);
      case "edited":
      case "redacted":
        return this.posts.change(event);
      case "read":
        return this.posts.read(event);
      case "sent":
        return this.settle(event.room, event.key);
      case "refused":
        return this.#refused(event.say, event.error);
      case "presence":
        return this.people.presence(event);
      case "typing":
        return this.#typing(event.room, event.nick);
      case "topic":
        return this.#topic(event.room, event.topic, event.by);
      case "renamed":
        this.rename(event.nick);
        return;
      case "direct":
        return this.#direct(event.author, event.text, event.time);
      default:
        this.people.hear(event);
    }
  }

  /** @param {string} nick of the user from now on */
  rename(nick) {
    const before = this.nick;
    this.nick = nick;
    for (const room of this.rooms.values()) {
      room.members.rename(before, nick);
      this.changed("members", room);
    }
    if (before && before !== nick) this.notice(`You are now ${nick}.`);
    this.changed("nick");
  }

  /** @param {Members} members */
  members(members) {
    const room = this.rooms.get(members.room);
    if (!room) return;
    room.members.set(members);
    this.changed("members", room);
  }

  /** @param {Welcome} welcome */
  #welcome(welcome) {
    this.people.welcome(welcome);
    this.rename(welcome.nick);
  }

  #away() {
    for (const room of this.rooms.values()) {
      room.loading = false;
      room.members.lose();
      this.changed("typing", room);
    }
  }

  /** Another tab sends what is not stored yet, and shows it. */
  handOver() {
    for (const room of this.rooms.values()) {
      room.outgoing = room.outgoing.filter(({ state }) => state === "failed");
      this.changed("log", room);
    }
  }

  /** @param {Joined} joined */
  #joined(joined) {
    const room = this.expect(joined.room);
    room.enter(joined);
    this.people.joined(room);
    room.mark = joined.read ?? null;
    if (room.last || joined.recovered) {
      resume(room, joined);
      this.changed("seen", room); // what the server has not heard before the connection was lost
    } else if (joined.recovered === null || room.mark !== null) {
      const read = this.reads.of(room.name, joined.epoch, joined.position);
      begin(room, joined, read);
      if (read === null) this.reads.note(room.name, joined.epoch, room.read);
    }
    this.changed("rooms");
    this.changed("members", room);
    this.changed("log", room);
  }

  /** @param {string} name of a room that the server cannot open now @param {string} why */
  #waits(name, why) {
    const room = this.expect(name);
    room.topic = "Waiting…"; // until it is joined
    this.notice(`${why} Trying again…`, true, room);
    this.changed("members", room);
  }

  /** @param {string} name @param {string} [reason] */
  #left(name, reason) {
    const room = this.rooms.get(name);
    if (room) this.close(room);
    this.people.left(name, room, reason);
  }

  /**
   * Note that a message is stored.
   * @param {string | undefined} name
   * @param {string | undefined} key
   * @returns {boolean} whether it was the user's
   */
  settle(name, key) {
    const room = this.rooms.get(name ?? "");
    if (!room || !key) return false;
    const before = room.outgoing.length;
    room.outgoing = room.outgoing.filter((item) => item.key !== key);
    if (room.outgoing.length < before) this.changed("log", room);
    return room.outgoing.length < before;
  }

  /** @param {Say} say @param {ServerError} error */
  #refused(say, error) {
    const room = this.expect(say.room);
    const item = room.outgoing.find(({ key }) => key === say.key);
    if (item) Object.assign(item, { state: "failed", error: error.text });
    this.changed("log", room);
  }

  /** @param {string} name @param {string} nick */
  #typing(name, nick) {
    const room = this.rooms.get(name);
    if (!room || nick === this.nick || this.ignored.has(nick)) return;
    room.members.type(nick);
    this.changed("typing", room);
  }

  /** @param {string} name @param {string} topic @param {string} by */
  #topic(name, topic, by) {
    const room = this.rooms.get(name);
    if (!room) return;
    room.topic = topic;
    const text = topic ? `${by} set the topic: ${topic}` : `${by} cleared the topic.`;
    if (!this.ignored.has(by)) this.notice(text, false, room);
    this.changed("members", room);
  }

  /** @param {string} author @param {string} text @param {number} time */
  #direct(author, text, time) {
    if (this.ignored.has(author)) return;
    const direct = this.direct(author);
    direct.name = author; // as they spell it
    const item = { ...NOTHING, kind: /** @type {const} */ ("post"), author, text, time };
    direct.add(item);
    if (!this.sees(direct)) direct.unread++;
    this.directs.save();
    this.changed("rooms");
    this.changed("log", direct, item);
    this.changed("alert", direct, item);
  }

  #saveRooms() {
    save("rooms", [...this.rooms.keys()]);
    this.people.savePartners();
  }

  /** @returns {string[]} the other members of the current room, sorted */
  get others() {
    return [...(this.current?.members.nicks ?? [])].filter((nick) => nick !== this.nick).sort(compare);
  }
}
