/**
 * One client of the server: requests, messages, events; reconnects and resumes by itself.
 *
 * The counterpart of the Python library's Connection. Events of the rooms arrive once and in order,
 * across reconnects. Messages that are not acknowledged are sent again, once and in order.
 */

import { Backoff, retryAfter } from "./backoff.js";
import { Cursors } from "./cursors.js";
import { GUEST } from "../text/names.js";
import { PendingReplies, Ended, Refused } from "./pending_replies.js";
import { save } from "./saved.js";
import { Silence } from "./silence.js";
import { SocketLink } from "./socket_link.js";

/** @import {Answers, Bye, ClientEvent, Hello, Say, ServerError, ServerEvent, Welcome} from "../protocol" */
/** @import {PendingSays} from "./pending_says.js" */

const GOOD_MS = 30_000; // after a connection that lasted so long the back-off starts over


const MOST_WAITING = 8_000; // characters sent and not acknowledged; the server closes for 32 KiB
const SAY_CHARACTERS = 100; // of a frame around its text, or some more

/** @type {Bye} how a connection ends that the user ends */
const GOODBYE = { type: "bye", code: "quit", text: "Goodbye.", reconnect: false, after_ms: 0 };

/** The request exceeds the server's limit; nothing was sent. */
export class TooLong extends Error {}

export class Connection {
  /** @type {Welcome | null} of the connection there is now */
  welcome = null;
  /** @type {Hello} what is said in hello; a nick or token that changes is for the next one */
  hello = {};
  cursors = new Cursors();
  #url;
  #client;
  #hear;
  /** @type {SocketLink | null} */
  #link = null;
  #backoff = new Backoff();
  #retry = 0;
  #connectedAt = 0;
  #replies = new PendingReplies();
  /** @type {Set<string>} rooms joined on this connection */
  #joined = new Set();
  /** @type {Set<string>} keys of the messages sent on this connection */
  #sent = new Set();
  #silence = new Silence({
    waits: () => this.#replies.any || this.pendingSays.all.some((say) => this.#joined.has(say.room)),
    ping: () => this.#link?.send({ type: "ping" }),
    tell: (silent) => this.#hear({ type: silent ? "silent" : "heard" }),
    drop: () => this.#link?.drop("The server did not answer."),
  });
  /** @type {Map<string, number>} the pause before each room is asked for again that the server cannot open now */
  #waiting = new Map();
  #closing = false;

  /**
   * @param {string} url
   * @param {string} client the secret id
   * @param {PendingSays} pendingSays
   * @param {(event: ClientEvent) => void} hear
   */
  constructor(url, client, pendingSays, hear) {
    this.#url = url;
    this.#client = client;
    this.pendingSays = pendingSays;
    this.#hear = hear;
  }

  /**
   * Connect, and reconnect until `close` or until the server forbids it.
   * @param {Hello} hello
   * @param {string[]} rooms to join
   */
  open(hello, rooms) {
    this.hello = hello;
    this.#closing = false;
    this.pendingSays.read();
    for (const room of rooms) this.cursors.ask(room);
    this.#connect();
  }

  /** Say goodbye: what was sent before is still answered, the nick is free at once. */
  close() {
    this.#stop();
    if (this.welcome) {
      this.#link?.send({ type: "bye" });
    } else {
      this.#link?.discard();
      this.#ended(GOODBYE); // nobody else would say it
    }
  }

  /** Leave the place to another tab, without a word. */
  abandon() {
    this.#stop();
    this.#link?.drop();
  }

  #stop() {
    this.#closing = true;
    clearTimeout(this.#retry);
    this.#retry = 0; // else `retry` would connect
  }

  /** Sign in by a session from now on; a password is not kept. @param {string} session its token */
  signIn(session) {
    this.hello = { ...this.hello, account: { session } };
    save("session", session);
  }

  /** Try to connect now, if it is waiting to; else ask whether the server is still there. */
  retry() {
    if (this.#retry) {
      this.#connect();
    } else if (this.welcome) {
      this.#silence.ask();
    }
  }

  /**
   * Make a request and wait for its answer. Rejects with Refused, Ended or TooLong.
   * @template {keyof Answers} T
   * @param {T} type
   * @param {object} [fields]
   * @returns {Promise<Answers[T]>}
   */
  async request(type, fields = {}) {
    if (!this.welcome) throw new Ended("Not connected. Try again in a moment.");
    const request = { type, ...fields, id: this.#replies.id() };
    this.#check(request);
    this.#link?.send(request);
    this.#silence.said();
    return this.#replies.expect(request.id);
  }

  /**
   * Send a message, now or after reconnecting. Throws TooLong and TooManyPending.
   * @param {string} room
   * @param {string} text
   * @param {string} [key] of one that failed and is sent again
   * @returns {Say}
   */
  say(room, text, key) {
    this.#check({ type: "say", room, text, key: "0".repeat(22) });
    const say = this.pendingSays.add(room, text, key);
    this.#sendPending();
    return say;
  }

  /** @param {string} room @returns {boolean} whether it was joined on this connection */
  isIn(room) {
    return this.#joined.has(room);
  }

  /** Leave a room, also one that the server cannot open now. @param {string} room */
  async leave(room) {
    const waited = this.#waiting.delete(room);
    await this.request("leave", { room }).catch((error) => {
      if (!waited || !(error instanceof Refused)) throw error;
      this.#handle({ type: "left", room });
    });
  }

  /** @param {string} room in which the user is typing */
  typing(room) {
    if (this.#joined.has(room)) this.#link?.send({ type: "typing", room });
  }

  // Connecting

  #connect() {
    clearTimeout(this.#retry);
    this.#retry = 0;
    this.#link?.discard();
    this.#hear({ type: "connecting" });
    const hello = { ...this.hello, client: this.#client, rooms: this.cursors.resume() };
    /** @type {SocketLink} */
    const link = new SocketLink(
      this.#url,
      hello,
      (event) => this.#handle(event),
      (bye) => this.#ended(bye),
    );
    this.#link = link;
  }

  /** @param {Welcome} welcome */
  #welcomed(welcome) {
    this.welcome = welcome;
    this.#rename(welcome.nick);
    if (welcome.session) this.signIn(welcome.session);
    this.#connectedAt = Date.now();
    this.#silence.begin(welcome.ping_seconds);
  }

  /** @param {string} nick to ask for in the next hello: a guest's is given by the server */
  #rename(nick) {
    this.hello = { ...this.hello, nick: nick.startsWith(GUEST) ? undefined : nick };
  }

  /** @param {Bye} bye */
  #ended(bye) {
    const wasConnected = this.welcome !== null;
    this.#link = this.welcome = null;
    this.#joined.clear();
    this.#sent.clear();
    this.#waiting.clear(); // the next hello names all rooms
    this.#silence.end();
    this.#replies.failAll(bye.text);
    if (this.#closing || !bye.reconnect) {
      this.#hear({ type: "ended", bye });
      return;
    }
    if (wasConnected) this.#hear({ type: "disconnected", bye });
    if (wasConnected && Date.now() - this.#connectedAt > GOOD_MS) this.#backoff.reset();
    const seconds = retryAfter(bye.after_ms) || this.#backoff.next();
    this.#hear({ type: "failed", why: bye.text, seconds });
    if (this.#closing) return; // nobody wants it any more
    this.#retry = window.setTimeout(() => this.#connect(), seconds * 1000);
  }

  // Events

  /** @param {ServerEvent} event */
  #handle(event) {
    this.#silence.heard();
    switch (event.type) {
      case "welcome":
        this.#welcomed(event);
        break;
      case "ping":
        this.#link?.send({ type: "pong" });
        return;
      case "joined":
        if (event.recovered === false) this.#hear({ type: "gap", room: event.room });
        this.#waiting.delete(event.room);
        this.cursors.joined(event);
        this.#hear(event);
        this.#replies.resolve(event);
        this.#joined.add(event.room);
        this.#sendPending();
        return;
      case "left":
        this.#waiting.delete(event.room);
        this.cursors.leave(event.room);
        this.#joined.delete(event.room);
        break;
      case "post":
        if (!this.cursors.post(event.room, event.position)) {
          this.#link?.drop("Messages arrived out of order.");
          return;
        }
        this.#acknowledge(event.key);
        break;
      case "edited":
      case "redacted":
        this.cursors.changed(event.room, event.change);
        break;
      case "renamed":
        this.#rename(event.nick);
        break;
      case "signed_in":
        this.#rename(event.nick);
        this.signIn(event.session);
        break;
      case "sent":
        this.#acknowledge(event.key);
        break;
      case "error": {
        const say = this.#acknowledge(event.key);
        if (say) this.#hear({ type: "refused", error: event, say });
        if (say || this.#replies.resolve(event)) return;
        if (event.room && !event.id && !event.key && this.#waits(event)) return;
        break;
      }
    }
    this.#replies.resolve(event);
    this.#hear(event);
  }

  /**
   * Ask for a room again, from where it was read, if the server cannot open it now: as while a disk or
   * an engine is away. A room that is damaged for good is asked for twice a minute.
   * @param {ServerError} error @returns {boolean | void} whether it is so
   */
  #waits({ code, room = "", text }) {
    const before = this.#waiting.get(room);
    this.#waiting.delete(room);
    if (code !== "storage") return;
    const pause = before ? Math.min(2 * before, 30_000) : 1_000;
    this.#waiting.set(room, pause);
    // By chance, so that the pages of a server are not in step when it is back.
    setTimeout(() => {
      if (this.#waiting.get(room) === pause) this.#link?.send({ type: "join", room, ...this.cursors.resume()[room] });
    }, pause * (1 - Math.random() / 2));
    if (!before) this.#hear({ type: "waiting", room, why: text });
    return true;
  }

  /** Send what is pending, in order; the rest when most of it is acknowledged, so as not to flood. */
  #sendPending() {
    let waiting = 0;
    for (const say of this.pendingSays.all) {
      if (!this.#joined.has(say.room)) continue; // sent when it is
      const size = SAY_CHARACTERS + say.text.length;
      if (waiting && waiting + size > MOST_WAITING) break;
      waiting += size;
      if (this.#sent.has(say.key)) continue;
      this.#sent.add(say.key);
      this.#silence.said();
      this.#link?.send({ type: "say", ...say });
    }
  }

  /** @param {string | undefined} key @returns {Say | undefined} */
  #acknowledge(key) {
    const say = this.pendingSays.acknowledge(key);
    if (!say) return undefined;
    this.#sent.delete(say.key);
    this.#sendPending();
    return say;
  }

  /** @param {object} request */
  #check(request) {
    const limit = this.welcome?.limits.frame_bytes ?? 65_536;
    const bytes = new TextEncoder().encode(JSON.stringify(request)).length;
    if (bytes > limit) {
      const figures = `${bytes.toLocaleString("en")} of at most ${limit.toLocaleString("en")} bytes`;
      throw new TooLong(`The message is too long: ${figures}.`);
    }
  }
}

export { Ended, Refused };
