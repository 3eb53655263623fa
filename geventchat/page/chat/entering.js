/** Joining the chat: from the form, or again as before a reload. */

import { Ended, Refused } from "../client/connection.js";
import { load, save } from "../client/saved.js";
import { fold, LOBBY } from "../text/names.js";

/** @import {Connection} from "../client/connection.js" */
/** @import {ClientEvent} from "../protocol" */
/** @import {Status} from "./status.js" */

export class Entering {
  #connection;
  #status;
  /** @type {{nick: string, resolve: () => void, reject: (error: Error) => void} | null} */
  #waits = null;

  /** @param {Connection} connection @param {Status} status */
  constructor(connection, status) {
    this.#connection = connection;
    this.#status = status;
  }

  /**
   * Connect with a nick, and no room yet: nobody sees a guest come and go while the nick is refused.
   * Rejects with Refused or Ended, whose text is for the user.
   * @param {string} nick
   * @param {string} password
   */
  async enter(nick, password) {
    if (this.#connection.welcome) {
      await this.#connection.request("nick", { nick });
    } else {
      await new Promise((resolve, reject) => {
        this.#waits = { nick, resolve: () => resolve(undefined), reject };
        const known = secrets();
        this.#connection.open({ ...known, nick, password: password || known.password }, []);
      });
    }
    if (password) save("password", password);
    save("joined", true);
    save("name", nick);
  }

  /** Connect as before a reload. @param {string[]} rooms */
  again(rooms) {
    this.#connection.open({ ...secrets(), nick: load("name", "") || undefined }, rooms);
  }

  /** @param {ClientEvent} event @returns {boolean} whether nobody else is to act on it */
  hear(event) {
    if (!this.#waits) return false;
    const { nick, resolve, reject } = this.#waits;
    switch (event.type) {
      case "welcome":
        if (fold(nick) !== fold(event.nick)) return false; // an error follows
        resolve();
        break;
      case "error":
        reject(new Refused(event));
        break;
      case "ended":
        reject(Object.assign(new Ended(event.bye.text), { code: event.bye.code }));
        break;
      case "failed": // the form says so, and the user may try again
        reject(new Ended(event.why));
        this.#waits = null;
        this.#connection.abandon();
        this.#status.is = "joining";
        return true;
      default:
        return false;
    }
    this.#waits = null;
    return true;
  }
}

/** What the server may ask for: its password as long as one is in the chat, the token as long as the tab. */
function secrets() {
  return { password: load("password", undefined), token: load("token", undefined, sessionStorage) };
}

/**
 * The rooms to join, as before and the one of a link; and which to show first.
 * @param {string} link
 */
export function roomsToJoin(link) {
  const current = load("current", { kind: "room", name: "" });
  const before = load("rooms", /** @type {string[]} */ ([]));
  const rooms = [...new Set([...before, ...(link ? [fold(link)] : [])])];
  if (!rooms.length) rooms.push(LOBBY);
  const first = link ? fold(link) : current.kind === "room" ? current.name : "";
  return { rooms, first: rooms.includes(first) ? first : rooms[0] };
}
