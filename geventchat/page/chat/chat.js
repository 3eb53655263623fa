/** What the user can do: ties connection and store together. No DOM. */

import { OwnAccount } from "./account.js";
import { Changes } from "./changes.js";
import { NotUnderstood, runCommand } from "./commands.js";
import { foldRoom, LOBBY } from "../text/names.js";
import { Entering, roomsToJoin } from "./entering.js";
import { Marks } from "./marks.js";
import { Paging } from "./paging.js";
import { PrivateRooms } from "./private_rooms.js";
import { Regain } from "./regain.js";
import { Saying, sentence } from "./saying.js";
import { load, save } from "../client/saved.js";
import { read } from "./typed.js";

/** @import {Connection} from "../client/connection.js" */
/** @import {Conversation} from "./conversation.js" */
/** @import {ClientEvent, Joined, Say, ServerError, SignIn} from "../protocol" */
/** @import {Store} from "./store.js" */

const RECOUNT_MS = 30_000;
const OF_NICKS = ["bad_nick", "nick_in_use", "nick_too_similar"];

export class Chat {
  /** Opens a part of the page: `finder`, `help`, `operator`, those of people. @type {(what: string, text?: string) => any} */
  ask = () => {};
  /** The room to show when it is joined. */
  #wanted = "";
  #lastWho = 0;
  /** The room of a link, to be joined when signed in. */
  #link = "";

  /** @param {Store} store @param {Connection} connection */
  constructor(store, connection) {
    this.store = store;
    this.connection = connection;
    this.account = new OwnAccount(store, connection);
    this.privately = new PrivateRooms(store, connection);
    this.saying = new Saying(store, connection, this.privately);
    this.paging = new Paging(store, connection);
    this.changes = new Changes(store, connection);
    this.marks = new Marks(store, connection);
    this.entering = new Entering(connection, store.status);
    this.regain = new Regain(connection, (text) => this.notice(text));
  }

  // Joining

  /**
   * Join with a nick, from the form. Rejects with Refused or Ended, whose text is for the user.
   * @param {string} nick
   * @param {string} password of the server
   * @param {string} link a room
   * @param {SignIn} [account] to sign in to, or to register
   * @returns {Promise<boolean>} whether it is another person than before: the page has to begin anew
   */
  async enter(nick, password, link, account) {
    if (await this.entering.enter(nick, password, account)) {
      this.store.reads.stop(); // they are the other's
      return true;
    }
    const { rooms, first } = roomsToJoin(link);
    this.#wanted = first;
    if (account) { // its rooms follow by themselves, and conversations with something unread
      this.privately.list().catch((error) => this.#fail(error));
      if (link) this.join(link).catch((error) => this.#fail(error));
      for (const room of this.#showPending()) {
        this.join(room, false).catch((error) => {
          this.#cannotJoin(room);
          this.#fail(error);
        });
      }
      return false;
    }
    const all = [...new Set([...rooms, ...this.#showPending()])];
    const joins = all.map((room) => this.join(room, room === first));
    const failed = (await Promise.allSettled(joins)).filter((join) => join.status === "rejected");
    if (failed.length === all.length) await this.join(LOBBY);
    for (const { reason } of failed) this.notice(sentence(reason), true);
    return false;
  }

  /** Join again as before a reload. @param {string} link a room */
  reenter(link) {
    const { rooms, first } = roomsToJoin(link);
    const { kind, name } = load("current", { kind: "room", name: "" });
    if (kind === "direct" && !link) this.show(this.store.direct(name));
    // Hello names rooms of an account to resume there, and joins none.
    const before = load("session", "") ? load("rooms", rooms) : rooms;
    if (link && !before.includes(foldRoom(link))) this.#link = link;
    // Shown at once, so that one can write before the server has answered.
    for (const room of rooms) this.store.expect(room);
    if (!this.store.current) this.store.enter(this.store.expect(first));
    this.store.operator = load("token", "", "sessionStorage") !== "";
    this.entering.again([...before, ...this.#showPending()]);
  }

  /** Show what is not stored yet. @returns {string[]} its rooms */
  #showPending() {
    const { all } = this.connection.pendingSays;
    for (const say of all) this.store.say(say);
    return all.map((say) => say.room);
  }

  /** Leave the chat; the name is still known. */
  quit() {
    for (const name of ["joined", "password"]) save(name, undefined);
    this.connection.close();
  }

  // Events

  /** @param {ClientEvent} event */
  hear(event) {
    this.store.hear(event);
    this.regain.hear(event);
    if (this.entering.hear(event)) return;
    if (event.type === "error") this.#error(event);
    else if (event.type === "joined") this.#joined(event);
    else if (event.type === "left") this.#left(event.room, event.reason);
    else if (event.type === "welcome") this.#welcomed();
    else if (event.type === "presence" && event.nick === undefined) this.#recount(event.room);
    else if (event.type === "renamed") save("name", event.nick);
  }

  /** @param {ServerError} error that answers no request: of hello, or of a message without a key */
  #error(error) {
    if (OF_NICKS.includes(error.code)) {
      this.notice(error.text, true);
      this.regain.begin(load("name", ""));
    } else {
      if (error.room) this.#cannotJoin(error.room);
      else if (this.store.operator && ["forbidden", "slow_down"].includes(error.code)) this.#resign();
      this.notice(error.text, true);
    }
  }

  /** @param {string} name of a room that was joined once, and cannot be now */
  #cannotJoin(name) {
    if (this.connection.isIn(foldRoom(name))) return;
    const room = this.store.room(name);
    this.connection.cursors.leave(foldRoom(name));
    if (room) this.store.close(room);
    for (const { text } of this.#dropPending(name)) this.notice(`Not sent: ${text}`, true);
    if (!this.store.rooms.size) this.join(LOBBY).catch((error) => this.#fail(error));
  }

  #welcomed() {
    const link = this.#link;
    this.#link = "";
    if (link) this.join(link).catch((error) => this.#fail(error));
  }

  /** @param {string} room @param {string} [reason] why, if the user has not asked for it here */
  #left(room, reason) {
    if (this.#wanted === room) this.#wanted = "";
    for (const { text } of this.#dropPending(room)) if (reason) this.notice(`Not sent: ${text}`, true);
  }

  /** Forget what is pending in a room that one is not in. @param {string} room @returns {Say[]} */
  #dropPending(room) {
    const { pendingSays } = this.connection;
    const dropped = pendingSays.all.filter((say) => say.room === foldRoom(room));
    for (const { key } of dropped) pendingSays.acknowledge(key);
    return dropped;
  }

  /** The token is not valid any more. */
  #resign() {
    this.store.operator = false;
    save("token", undefined, "sessionStorage");
    this.connection.hello = { ...this.connection.hello, token: undefined };
    this.store.changed("nick");
  }

  /** @param {Joined} joined */
  #joined({ room: name, recovered }) {
    const room = this.store.room(name);
    if (!room) return;
    // Of what waits in a conversation the newest calls the user, as it does when it arrives.
    if (recovered === null && room.with && room.read < room.replayed) room.replayed--;
    if (!this.store.current || this.#wanted === name) this.store.enter(room);
    if (this.#wanted === name) this.#wanted = "";
    if (this.store.current === room && !room.members.known) this.#askWho(room);
  }

  // Conversations

  /** @param {Conversation} conversation */
  show(conversation) {
    this.#wanted = ""; // a room that was asked for before, and answers later, does not take its place
    this.store.enter(conversation);
    if (conversation.joined && !conversation.members.known) this.#askWho(conversation);
    if (conversation.with && !conversation.joined && this.store.status.isOnline) {
      this.join(conversation.name).catch((error) => this.#fail(error));
    }
  }

  /** @param {string} name @param {boolean} [shows] */
  async join(name, shows = true) {
    const known = this.store.room(name);
    if (known?.joined) {
      if (shows) this.show(known);
      return;
    }
    if (shows) this.#wanted = foldRoom(name);
    const joined = await this.connection.request("join", { room: name });
    const room = this.store.room(joined.room);
    if (shows && room && this.#wanted === foldRoom(name)) this.show(room); // the server spells it otherwise
  }

  /** @param {string} [name] */
  async leave(name) {
    const invited = this.store.people.invitations.get(foldRoom(name ?? ""));
    if (invited) {
      await this.connection.request("leave", { room: invited.room }); // declines
      return;
    }
    const conversation = name ? this.store.room(name) : this.store.current;
    if (!conversation) throw new NotUnderstood(name ? `You are not in ${name}.` : "You are not in a room.");
    if (conversation.kind === "direct") this.store.close(conversation);
    else await this.connection.leave(conversation.name);
  }

  /** Make a private room, and show it. @param {string} name @param {boolean} fromJoin */
  async create(name, fromJoin) {
    const room = this.store.room(await this.privately.create(name, fromJoin));
    if (room) this.show(room);
  }

  /** Show the conversation with somebody. @param {string} nick */
  async write(nick) {
    this.show((await this.privately.open(nick)) ?? this.store.direct(nick));
  }

  /** The room that was meant: `#dev` is dev, as on IRC, and `@Bob` the conversation with Bob. @param {string} typed */
  roomName(typed) {
    if (typed.startsWith("@")) return this.store.people.conversation(typed.slice(1))?.name ?? typed;
    if (typed.startsWith("#") && typed.length > 1 && !this.store.room(typed)) return typed.slice(1);
    return typed || (this.store.current?.kind === "room" ? this.store.current.name : "");
  }

  /** @param {Conversation} room */
  async #askWho(room) {
    room.members.known = true; // or soon: not asked twice
    try {
      await this.who(room.name);
    } catch {
      room.members.known = false; // asked again after reconnecting
    }
  }

  /** Ask now and then who is in a crowded room, of which the server tells only the number. @param {string} name */
  #recount(name) {
    const room = this.store.current;
    if (room?.name !== name || Date.now() - this.#lastWho < RECOUNT_MS) return;
    this.#askWho(room);
  }

  /** @param {string} room */
  async who(room) {
    this.#lastWho = Date.now();
    const members = await this.connection.request("who", { room });
    this.store.members(members);
    return members;
  }

  // Messages

  /**
   * Do what a typed line says. Rejects with what is for the user; then nothing was done.
   * @param {string} line
   */
  async take(line) {
    if (line.trim() === "q") return this.quit();
    const meant = read(line);
    if (typeof meant === "string") return this.saying.say(meant);
    return runCommand(meant[0], meant[1], this);
  }

  // Others

  /** @param {string} nick */
  async rename(nick) {
    await this.connection.request("nick", { nick });
  }

  /** @param {string} topic */
  async topic(topic) {
    const room = this.store.current;
    if (!room || room.isDirect) throw new NotUnderstood("Only rooms have a topic.");
    await this.connection.request("topic", { room: room.name, topic });
  }

  /** @param {string} token */
  async becomeOperator(token) {
    await this.connection.request("admin", { action: "list", token });
    save("token", token, "sessionStorage");
    this.connection.hello = { ...this.connection.hello, token };
    this.store.operator = true;
    this.store.changed("nick");
    this.notice("You are an operator. /help lists what operators can do.");
  }

  /** @param {object} fields */
  admin(fields) {
    return this.connection.request("admin", fields);
  }

  /** @param {string} text @param {boolean} [isError] */
  notice(text, isError = false) {
    this.store.notice(text, isError);
  }

  /** @param {unknown} error */
  #fail(error) {
    this.notice(sentence(error), true);
  }
}
