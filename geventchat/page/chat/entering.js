/** Joining the chat: from the form, or again as before a reload. */

import { Ended, Refused } from "../client/connection.js";
import { forget, load, save } from "../client/saved.js";
import { DEVICE } from "./account.js";
import { fold, foldRoom, LOBBY } from "../text/names.js";

/** @import {Connection} from "../client/connection.js" */
/** @import {ClientEvent, SignIn} from "../protocol" */
/** @import {Status} from "./status.js" */

export class Entering {
  #connection;
  #status;
  /** @type {{nick: string, isGuest: boolean, resolve: () => void, reject: (error: Error) => void} | null} */
  #waits = null;
  #isOther = false;

  /** @param {Connection} connection @param {Status} status */
  constructor(connection, status) {
    this.#connection = connection;
    this.#status = status;
  }

  /**
   * Connect with a nick, and no room yet: nobody sees a guest come and go while the nick is refused.
   * Rejects with Refused or Ended, whose text is for the user.
   * @param {string} nick
   * @param {string} password of the server
   * @param {SignIn} [account] to sign in to, or to register
   * @returns {Promise<boolean>} whether it is another person than before: what the page shows is theirs
   */
  async enter(nick, password, account) {
    const { welcome } = this.#connection;
    if (welcome && !account && !welcome.account) {
      await this.#connection.request("nick", { nick });
    } else {
      if (welcome) this.#connection.abandon(); // a guest whose nick was refused
      this.#isOther = false;
      await new Promise((resolve, reject) => {
        this.#waits = { nick, isGuest: !account, resolve: () => resolve(undefined), reject };
        const known = secrets();
        this.#connection.open({ ...known, nick, password: password || known.password, account: account && { ...account, device: DEVICE } }, []);
      });
    }
    if (password) save("password", password);
    save("joined", true);
    save("name", account ? this.#connection.welcome?.nick : nick);
    return this.#isOther;
  }

  /** Connect as before a reload. @param {string[]} rooms */
  again(rooms) {
    const session = load("session", "");
    const account = session ? { session } : undefined;
    this.#connection.open({ ...secrets(), nick: load("name", "") || undefined, account }, rooms);
  }

  /** @param {ClientEvent} event @returns {boolean} whether nobody else is to act on it */
  hear(event) {
    if (!this.#waits) return false;
    const { nick, isGuest, resolve, reject } = this.#waits;
    switch (event.type) {
      case "welcome":
        if (!isGuest && !event.account) {
          this.#fail(new Ended("This server has no accounts. Join as a guest."));
          return true;
        }
        if (isGuest && fold(nick) !== fold(event.nick)) return false; // an error follows
        this.#recognise(event.account);
        resolve();
        break;
      case "error":
        reject(new Refused(event));
        break;
      case "ended":
        reject(Object.assign(new Ended(event.bye.text), { code: event.bye.code }));
        break;
      case "failed": // the form says so, and the user may try again
        this.#fail(new Ended(event.why));
        return true;
      default:
        return false;
    }
    this.#waits = null;
    return true;
  }

  /** What another account has left in this browser goes, before any of it is sent. @param {string} [account] */
  #recognise(account = "") {
    const before = load("account", "");
    this.#isOther = before !== "" && before !== account;
    if (this.#isOther) forget();
    if (!account) save("session", undefined);
    save("account", account || undefined);
    this.#connection.pendingSays.read();
  }

  /** @param {Error} error */
  #fail(error) {
    const { reject } = this.#waits ?? {};
    this.#waits = null;
    this.#connection.abandon();
    this.#status.is = "joining";
    reject?.(error);
  }
}

/** What the server may ask for: its password as long as one is in the chat, the token as long as the tab. */
function secrets() {
  return { password: load("password", undefined), token: load("token", undefined, "sessionStorage") };
}

/**
 * The rooms to join, as before and the one of a link; and which to show first.
 * @param {string} link
 */
export function roomsToJoin(link) {
  const current = load("current", { kind: "room", name: "" });
  const before = load("rooms", /** @type {string[]} */ ([]));
  const rooms = [...new Set([...before, ...(link ? [foldRoom(link)] : [])])];
  if (!rooms.length) rooms.push(LOBBY);
  const first = link ? foldRoom(link) : current.kind === "room" ? current.name : "";
  return { rooms, first: rooms.includes(first) ? first : rooms[0] };
}
