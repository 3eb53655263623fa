/** The banner: quiet while all is well; says when the connection is away, and what to do then. */

import { byId, element } from "./elements.js";

/** @import {Chat} from "../chat/chat.js" */

const PATIENCE_MS = 700; // shorter gaps are not worth a word
const WORTH_A_BUTTON_MS = 2_000;

const reload = () => location.reload();

export class Banner {
  #chat;
  #banner = byId("banner");
  #timer = 0;
  #said = "";

  /** @param {Chat} chat */
  constructor(chat) {
    this.#chat = chat;
    chat.store.listen((what) => what === "status" && this.#draw());
  }

  #draw() {
    const { is } = this.#chat.store.status;
    byId("message").toggleAttribute("disabled", is === "taken" || is === "ended");
    if (is !== "away" || this.#said) this.#render();
    else this.#timer ||= window.setTimeout(() => this.#render(), PATIENCE_MS);
  }

  #render() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const { is, why, retryAt } = this.#chat.store.status;
    if (is === "away") {
      const waits = retryAt - Date.now() > WORTH_A_BUTTON_MS;
      const button = waits ? this.#button("Try now", () => this.#chat.connection.retry()) : null;
      this.#say(`${why} Reconnecting… You can go on writing.`, button);
    } else if (is === "silent") {
      this.#say("No answer from the server yet. Asking it…", null);
    } else if (is === "taken") {
      this.#say("The chat is open in another tab of this browser.", this.#button("Use it here", reload));
    } else if (is === "ended") {
      this.#say(why, this.#button("Join again", reload));
    } else if (is === "connecting" && !this.#chat.connection.welcome) {
      this.#timer = window.setTimeout(() => {
        this.#timer = 0;
        if (this.#chat.store.status.is === "connecting") this.#say("Connecting…", null);
      }, PATIENCE_MS);
    } else {
      this.#say("", null);
    }
  }

  /** @param {string} text @param {HTMLElement | null} button */
  #say(text, button) {
    const said = text + (button?.textContent ?? "");
    if (said === this.#said) return; // not read aloud again
    this.#said = said;
    this.#banner.replaceChildren(...(text ? [element("span", {}, text), ...(button ? [button] : [])] : []));
  }

  /** @param {string} label @param {() => void} action */
  #button(label, action) {
    return element("button", { type: "button", onclick: action }, label);
  }
}
