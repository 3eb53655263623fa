/** Takes the nick that the user wants as soon as it is free: a lost connection holds it a minute. */

import { GUEST, fold } from "../text/names.js";
import { Refused } from "../client/connection.js";

/** @import {ClientEvent} from "../protocol" */
/** @import {Connection} from "../client/connection.js" */

const LONGEST_MS = 120_000;
const PAUSE_MS = 5_000;
const TAKEN = ["nick_in_use", "nick_too_similar"];

export class Regain {
  #connection;
  #show;
  #nick = "";
  #until = 0;
  #timer = 0;

  /**
   * @param {Connection} connection
   * @param {(text: string) => void} show
   */
  constructor(connection, show) {
    this.#connection = connection;
    this.#show = show;
  }

  /** @param {string} nick that was refused */
  begin(nick) {
    if (!nick || nick.startsWith(GUEST) || this.#nick === nick) return;
    this.#nick = nick;
    this.#until = Date.now() + LONGEST_MS;
    this.#show(`You get ${nick} when it is free; a lost connection holds it for about a minute.`);
    this.#wait(PAUSE_MS);
  }

  /** Try at once if the nick becomes free; stop if the user has another. @param {ClientEvent} event */
  hear(event) {
    if (!this.#nick) return;
    if (event.type === "renamed") this.#stop();
    const gone = event.type === "presence" && event.event !== "join" && event.nick;
    if (gone && fold(gone) === fold(this.#nick)) this.#wait(0);
  }

  #stop() {
    clearTimeout(this.#timer);
    this.#nick = "";
  }

  /** @param {number} ms */
  #wait(ms) {
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => this.#try(), ms);
  }

  async #try() {
    const nick = this.#nick;
    try {
      await this.#connection.request("nick", { nick });
    } catch (error) {
      const wait = !(error instanceof Refused) || [...TAKEN, "slow_down"].includes(error.code);
      if (this.#nick !== nick) return;
      if (wait && Date.now() < this.#until) return this.#wait(PAUSE_MS);
      this.#stop();
      this.#show(`${nick} is still in use; /nick ${nick} tries again.`);
    }
  }
}
