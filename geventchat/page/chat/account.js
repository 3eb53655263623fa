/** What the user does with an account of their own: registers, signs out, changes the password. */

import { Ended } from "../client/connection.js";
import { save } from "../client/saved.js";
import { NotUnderstood } from "./commands.js";

/** @import {Connection} from "../client/connection.js" */
/** @import {Session} from "../protocol" */
/** @import {Store} from "./store.js" */

export const LEAST_PASSWORD = 8;
/** What the list of sessions calls this browser. */
export const DEVICE = [["Edg", "Firefox", "Chrome", "Safari"], ["Android", "iPhone", "iPad", "Windows", "Mac", "Linux"]]
  .map((names) => names.find((name) => navigator.userAgent.includes(name)) ?? "browser").join(" on ").replace("Edg ", "Edge ");
const NO_ACCOUNT = "You are a guest. /register makes an account, /login signs in to yours.";

export class OwnAccount {
  #store;
  #connection;

  /** @param {Store} store @param {Connection} connection */
  constructor(store, connection) {
    this.#store = store;
    this.#connection = connection;
  }

  /** Throws NotUnderstood for a guest. */
  check() {
    if (!this.#store.people.account) throw new NotUnderstood(NO_ACCOUNT);
  }

  /** Make the user's nick, or another, an account. @param {string} nick @param {string} password */
  async register(nick, password) {
    const { account, nick: own } = await this.#connection.request("register", { nick, password: checked(password), device: DEVICE });
    save("account", account);
    save("name", own);
    this.#store.notice(`${own} is your account now: sign in with it on your other devices too.`);
  }

  /** @param {string} password @param {string} replacement */
  async changePassword(password, replacement) {
    await this.#connection.request("password", { password, new_password: checked(replacement) });
    this.#store.notice("The password is changed; all other sessions have ended.");
  }

  /** @returns {Promise<Session[]>} the latest used first */
  async sessions() {
    this.check();
    const { sessions } = await this.#connection.request("sessions");
    return sessions.sort((a, b) => Number(b.current ?? false) - Number(a.current ?? false) || b.used - a.used);
  }

  /** @param {string} session its id @returns {Promise<Session[]>} those that are left */
  async revoke(session) {
    this.check();
    return (await this.#connection.request("revoke", { session })).sessions;
  }

  /** End the session of this browser, and forget what it knows; the connection ends. */
  async signOut() {
    const own = (await this.sessions()).find(({ current }) => current);
    try {
      if (own) await this.revoke(own.id);
    } catch (error) {
      if (!(error instanceof Ended)) throw error; // it ends before it answers
    }
    save("session", undefined);
    save("signed out", true); // the page forgets the rest when it begins anew
    this.#connection.close();
  }

  /** Refuse what somebody writes to the user alone, or no longer. @param {string} nick @param {boolean} on */
  async block(nick, on) {
    this.check();
    await this.#connection.request("block", { nick, on });
    this.#store.notice(on ? `${nick} is blocked; /unblock ${nick} to undo.` : `${nick} is not blocked any more.`);
  }

  /** @returns {Promise<string[]>} whom the user has blocked */
  async blocked() {
    this.check();
    // Unblocking oneself changes nothing, and is answered with the list.
    const { blocked } = await this.#connection.request("block", { nick: this.#store.nick, on: false });
    return blocked.map(({ nick }) => nick);
  }
}

/** @param {string} password */
function checked(password) {
  if ([...password].length < LEAST_PASSWORD) throw new NotUnderstood(`A password has at least ${LEAST_PASSWORD} characters.`);
  return password;
}
