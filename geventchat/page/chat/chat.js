/** What the user can do: ties connection and store together. No DOM. */

import { NotUnderstood, runCommand } from "./commands.js";
import { Ended, Refused, TooLong } from "../client/connection.js";
import { fold, LOBBY } from "../text/names.js";
import { TooManyPending } from "../client/pending_says.js";
import { Regain } from "./regain.js";
import { load, save } from "../client/saved.js";
import { read } from "./typed.js";

/** @import {Connection} from "../client/connection.js" */
/** @import {Conversation, Item} from "./conversation.js" */
/** @import {ClientEvent, ServerError} from "../protocol" */
/** @import {Store} from "./store.js" */

const PAGE_POSTS = 100;
const OF_NICKS = ["bad_nick", "nick_in_use", "nick_too_similar"];

export class Chat {
  /** Opens a part of the page: `finder`, `help`, `operator`. @type {(what: string, text?: string) => void} */
  ask = () => {};
  /** Rooms to join, the first to be shown. @type {string[]} */
  #wanted = [];
  /** @type {{nick: string, resolve: () => void, reject: (error: Error) => void} | null} */
  #entering = null;
  #lastTyping = 0;

  /** @param {Store} store @param {Connection} connection */
  constructor(store, connection) {
    this.store = store;
    this.connection = connection;
    this.regain = new Regain(connection, (text) => this.notice(text));
  }

  // Joining

  /**
   * Join with a nick, from the form. Rejects with Refused or Ended, whose text is for the user.
   * @param {string} nick
   * @param {string} password
   * @param {string[]} rooms
   * @returns {Promise<void>}
   */
  async enter(nick, password, rooms) {
    this.#wanted = rooms;
    if (this.connection.welcome) {
      await this.connection.request("nick", { nick });
    } else {
      await new Promise((resolve, reject) => {
        this.#entering = { nick, resolve: () => resolve(undefined), reject };
        const [known, token] = ["password", "token"].map((name) => load(name, undefined, sessionStorage));
        this.connection.open({ nick: nick || undefined, password: password || known, token }, []);
      });
    }
    if (password) save("password", password, sessionStorage);
    this.#entered();
    const joins = rooms.map((room) => this.join(room, room === rooms[0]));
    const failed = (await Promise.allSettled(joins)).filter((join) => join.status === "rejected");
    if (failed.length === rooms.length) await this.join(LOBBY);
    for (const { reason } of failed) this.notice(sentence(reason), true);
  }

  /** Join again as before a reload. @param {string} nick @param {string[]} rooms */
  reenter(nick, rooms) {
    this.#wanted = rooms;
    const [password, token] = ["password", "token"].map((name) => load(name, undefined, sessionStorage));
    this.store.operator = Boolean(token);
    this.#showPending();
    this.connection.open({ nick: nick || undefined, password, token }, rooms);
  }

  #entered() {
    save("joined", true);
    save("name", this.store.nick);
    this.#showPending();
  }

  #showPending() {
    for (const say of this.connection.pendingSays.all) this.store.say(say);
  }

  /** Leave the chat; the name is still known. */
  quit() {
    save("joined", undefined);
    this.connection.close();
  }

  // Events

  /** @param {ClientEvent} event */
  hear(event) {
    this.store.hear(event);
    this.regain.hear(event);
    if (event.type === "welcome") this.#welcomed();
    else if (event.type === "error") this.#error(event);
    else if (event.type === "joined") this.#joined(event.room);
    else if (event.type === "renamed") save("name", event.nick);
    else if (event.type === "ended" || event.type === "failed") {
      const why = event.type === "ended" ? event.bye.text : event.why;
      const code = event.type === "ended" ? event.bye.code : "";
      this.#entering?.reject(Object.assign(new Ended(why), { code }));
      if (this.#entering && event.type === "failed") this.#giveUp();
      this.#entering = null;
    }
  }

  /** The server does not answer: the form says so, and the user may try again. */
  #giveUp() {
    this.connection.abandon();
    this.store.status = "joining";
  }

  #welcomed() {
    const nick = this.#entering?.nick;
    if (nick === undefined || (nick && fold(nick) !== fold(this.store.nick))) return; // an error follows
    this.#entering?.resolve();
    this.#entering = null;
  }

  /** @param {ServerError} error that answers no request: of hello, or of a message without a key */
  #error(error) {
    if (this.#entering) {
      this.#entering.reject(new Refused(error));
      this.#entering = null;
    } else if (OF_NICKS.includes(error.code)) {
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
    const room = this.store.room(name);
    if (room?.joined) return;
    this.connection.cursors.leave(fold(name));
    if (room) this.store.close(room);
    if (!this.store.rooms.size) this.join(LOBBY).catch((error) => this.#fail(error));
  }

  /** The token is not valid any more. */
  #resign() {
    this.store.operator = false;
    save("token", undefined, sessionStorage);
    this.connection.hello = { ...this.connection.hello, token: undefined };
    this.store.changed("nick");
  }

  /** @param {string} name */
  #joined(name) {
    const room = this.store.room(name);
    if (!room) return;
    if (!this.store.current || this.#wanted[0] === name) this.show(room);
    if (this.#wanted[0] === name) this.#wanted = [];
    if (this.store.current === room) this.#askWho(room);
  }

  // Conversations

  /** @param {Conversation} conversation */
  show(conversation) {
    this.store.enter(conversation);
    if (conversation.joined && !conversation.knowsMembers) this.#askWho(conversation);
  }

  /** @param {string} name @param {boolean} [shows] */
  async join(name, shows = true) {
    const known = this.store.room(name);
    if (known?.joined) {
      if (shows) this.show(known);
      return;
    }
    if (shows) this.#wanted = [fold(name)];
    const joined = await this.connection.request("join", { room: name });
    const room = this.store.room(joined.room);
    if (shows && room) this.show(room);
  }

  /** @param {string} [name] */
  async leave(name) {
    const conversation = name ? this.store.room(name) : this.store.current;
    if (!conversation) throw new NotUnderstood(name ? `You are not in ${name}.` : "You are not in a room.");
    if (conversation.kind === "direct") this.store.close(conversation);
    else await this.connection.request("leave", { room: conversation.name });
  }

  /** The room that was meant: `#dev` is dev, as on IRC. @param {string} typed */
  roomName(typed) {
    if (typed.startsWith("#") && typed.length > 1 && !this.store.room(typed)) return typed.slice(1);
    return typed || (this.store.current?.kind === "room" ? this.store.current.name : "");
  }

  /** @param {Conversation} room */
  async #askWho(room) {
    room.knowsMembers = true; // or soon: not asked twice
    try {
      await this.who(room.name);
    } catch {
      room.knowsMembers = false; // asked again after reconnecting
    }
  }

  /** @param {string} room */
  async who(room) {
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
    if (typeof meant === "string") return this.say(meant);
    return runCommand(meant[0], meant[1], this);
  }

  /** Send a text to the current conversation. @param {string} text */
  async say(text) {
    const to = this.store.current;
    if (!to) throw new NotUnderstood("You are not in a room; join one with /join ROOM.");
    if (to.kind === "direct") await this.direct(to.name, text);
    else this.store.say(this.connection.say(to.name, text));
    this.#lastTyping = 0;
  }

  /** @param {string} nick @param {string} text */
  async direct(nick, text) {
    if (!this.connection.welcome) throw new Ended("Not sent: direct messages need a connection.");
    const conversation = this.store.direct(nick);
    this.show(conversation);
    await this.#sendDirect(conversation, this.store.sayDirect(nick, text));
  }

  /** @param {Conversation} conversation @param {Item} item */
  async #sendDirect(conversation, item) {
    try {
      await this.connection.request("direct", { to: conversation.name, text: item.text });
      item.state = undefined;
    } catch (error) {
      Object.assign(item, { state: "failed", error: sentence(error) });
    }
    this.store.saveDirects();
    this.store.changed("log", conversation);
  }

  /** Send a message again that was refused. @param {Conversation} conversation @param {Item} item */
  again(conversation, item) {
    if (conversation.kind === "room") {
      this.store.say(this.connection.say(conversation.name, item.text, item.key));
    } else {
      Object.assign(item, { state: "sending", error: undefined });
      this.store.changed("log", conversation);
      this.#sendDirect(conversation, item);
    }
  }

  /** Forget a message that was refused. @param {Conversation} conversation @param {Item} item */
  discard(conversation, item) {
    conversation.outgoing = conversation.outgoing.filter((other) => other !== item);
    conversation.items = conversation.items.filter((other) => other !== item);
    this.store.changed("log", conversation);
  }

  /** Tell the room that the user is typing, now and then. */
  type() {
    const room = this.store.current;
    const now = Date.now();
    const quiet = now - this.#lastTyping < 5_000 || (room?.count ?? 0) > 150;
    if (room?.kind !== "room" || room.count < 2 || quiet || room.outgoing.length) return;
    this.#lastTyping = now;
    this.connection.typing(room.name);
  }

  // History

  /** Load older posts of the current room. @param {number} [limit] */
  async older(limit = PAGE_POSTS) {
    const room = this.store.current;
    if (!room?.hasOlder || room.loading) return;
    await this.#page(room, async () => {
      const before = room.first || undefined;
      const { posts, complete } = await this.connection.request("history", { room: room.name, limit, before });
      return { posts, complete };
    });
  }

  /** Load newer posts of the current room, below a window that was trimmed there. */
  async newer() {
    const room = this.store.current;
    if (!room || room.attached || room.loading || !room.last) return;
    await this.#page(room, async () => {
      let posts = /** @type {import("../protocol").Post[]} */ ([]);
      let before = Math.min(room.last + PAGE_POSTS, room.newest) + 1;
      while (before > room.last + 1) {
        const limit = before - room.last - 1; // an answer has some 256 KiB at most
        const page = await this.connection.request("history", { room: room.name, limit, before });
        if (!page.posts.length) break;
        posts = [...page.posts, ...posts];
        before = page.posts[0].position;
      }
      return { posts, complete: false };
    });
  }

  /** Show the newest posts of the current room. */
  newest() {
    const room = this.store.current;
    if (!room) return;
    room.scrolledUp = false;
    if (!room.attached) {
      room.clear();
      this.older();
    }
    this.store.changed("log", room);
  }

  /**
   * @param {Conversation} room
   * @param {() => Promise<{posts: import("../protocol").Post[], complete: boolean}>} load
   */
  async #page(room, load) {
    const { epoch, first, last } = room;
    room.loading = true;
    try {
      const { posts, complete } = await load();
      const same = room.epoch === epoch && (room.first === first || !first) && (room.last >= last);
      if (same) this.store.history(room, posts, complete);
    } catch {
      // away: asked again after reconnecting
    } finally {
      room.loading = false;
    }
  }

  // Others

  /** @param {string} nick */
  async rename(nick) {
    await this.connection.request("nick", { nick });
  }

  /** @param {string} topic */
  async topic(topic) {
    const room = this.store.current;
    if (room?.kind !== "room") throw new NotUnderstood("Only rooms have a topic.");
    await this.connection.request("topic", { room: room.name, topic });
  }

  /** @param {string} token */
  async becomeOperator(token) {
    await this.connection.request("admin", { action: "list", token });
    save("token", token, sessionStorage);
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

/** The rooms to join: as before, and the one of a link, which comes first. @param {string} link */
export function roomsToJoin(link) {
  const current = load("current", { kind: "room", name: "" });
  const first = link || (current.kind === "room" ? current.name : "");
  const before = load("rooms", /** @type {string[]} */ ([]));
  const rooms = [...new Set([...(link ? [fold(link)] : []), ...before])];
  if (!rooms.length) return [LOBBY];
  return rooms.sort((a, b) => Number(b === fold(first)) - Number(a === fold(first)));
}

/** What an error says to the user. @param {unknown} error */
export function sentence(error) {
  const known = [Ended, NotUnderstood, Refused, TooLong, TooManyPending, Error];
  return known.some((kind) => error instanceof kind) ? String(/** @type {Error} */ (error).message) : String(error);
}
