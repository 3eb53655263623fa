/** The form that one joins by: as a guest, with one's account, or with a new one. */

import { LEAST_PASSWORD } from "../chat/account.js";
import { sentence } from "../chat/saying.js";
import { Refused } from "../client/connection.js";
import { load } from "../client/saved.js";
import { oneLine } from "../text/visible.js";
import { byId } from "./elements.js";

/** @import {Chat} from "../chat/chat.js" */
/** @import {SignIn} from "../protocol" */

/** @typedef {"guest" | "sign-in" | "register"} As */

const OF_NAME = ["bad_nick", "nick_in_use", "nick_too_similar", "bad_field", "muted"];
const ERRORS = ["name-error", "secret-error", "password-error", "join-error"];
/** @type {Record<As, [verb: string, text: string]>} */
const TEXTS = {
  guest: ["Join", "Pick a name and you are in."],
  "sign-in": ["Sign in", "Your rooms and conversations follow you here."],
  register: ["Register", "The name becomes yours, on all your devices."],
};

export class JoinForm {
  #chat;
  #linked;
  #form = /** @type {HTMLFormElement} */ (byId("join-form"));
  #name = /** @type {HTMLInputElement} */ (byId("name"));
  #secret = /** @type {HTMLInputElement} */ (byId("secret"));
  #password = /** @type {HTMLInputElement} */ (byId("password"));
  #submit = /** @type {HTMLButtonElement} */ (this.#form.querySelector("[type=submit]"));
  #resume = /** @type {HTMLButtonElement} */ (byId("resume"));

  /** @param {Chat} chat @param {() => string} linked the room that the address names */
  constructor(chat, linked) {
    this.#chat = chat;
    this.#linked = linked;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#take();
    });
    this.#resume.onclick = () => this.#join(load("name", ""), { session: load("session", "") });
    byId("join-as").addEventListener("change", () => this.#draw());
    for (const input of [this.#name, this.#secret, this.#password]) {
      input.addEventListener("input", () => this.#say(`${input.id}-error`, ""));
    }
  }

  /** @returns {As} */
  get #as() {
    return /** @type {As} */ (new FormData(this.#form).get("as"));
  }

  /**
   * Show the form.
   * @param {string} [why] the chat has ended
   * @param {string} [code]
   * @param {As} [as]
   */
  show(why = "", code = "", as = this.#as) {
    document.documentElement.dataset.view = "join";
    document.title = "geventchat";
    this.#name.value ||= load("name", "");
    this.#choose(as);
    this.#blame(why, code);
    if (!this.#form.querySelector(":focus") || document.activeElement === this.#name) {
      (this.#resume.hidden ? this.#name : this.#resume).focus();
    }
  }

  /** @param {As} as */
  #choose(as) {
    const radio = this.#form.querySelector(`[name="as"][value="${as}"]`);
    if (radio) Object.assign(radio, { checked: true });
    this.#draw();
  }

  #draw() {
    const as = this.#as;
    const room = this.#linked();
    const [verb, text] = TEXTS[as];
    for (const id of ERRORS) this.#say(id, "");
    byId("join-where").textContent = room ? `You are about to join ${oneLine(room)}.` : text;
    this.#submit.textContent = verb;
    byId("secret-row").hidden = as === "guest";
    this.#name.setAttribute("autocomplete", as === "guest" ? "nickname" : "username");
    this.#secret.setAttribute("autocomplete", as === "register" ? "new-password" : "current-password");
    this.#resume.hidden = !load("session", "");
    this.#resume.textContent = `Continue as ${oneLine(load("name", ""))}`;
  }

  #take() {
    const as = this.#as;
    const nick = this.#name.value.trim();
    const password = this.#secret.value;
    for (const id of ERRORS) this.#say(id, "");
    if (!nick) this.#blame("Type a name first.", "bad_nick");
    else if (as === "guest") this.#join(nick);
    else if (!password) this.#blame("Type the password, too.", "account");
    else if (as === "sign-in") this.#join(nick, { nick, password });
    else if ([...password].length < LEAST_PASSWORD) this.#blame(`At least ${LEAST_PASSWORD} characters, please.`, "account");
    else this.#join(nick, { nick, password, register: true });
  }

  /** @param {string} nick @param {SignIn} [account] */
  async #join(nick, account) {
    this.#resume.disabled = this.#submit.disabled = true;
    this.#submit.textContent = "Joining…";
    try {
      if (await this.#chat.enter(nick, this.#password.value, this.#linked(), account)) return location.reload();
      this.#secret.value = this.#password.value = "";
      document.documentElement.dataset.view = "chat";
      byId("message").focus();
    } catch (error) {
      const code = error instanceof Refused ? error.code : /** @type {{code?: string}} */ (error).code;
      if (code === "account" && !account) this.#require();
      this.#blame(sentence(error), code ?? "");
    } finally {
      this.#resume.disabled = this.#submit.disabled = false;
      this.#submit.textContent = TEXTS[this.#as][0];
    }
  }

  /** The server takes no guests. */
  #require() {
    this.#form.querySelector("[value=guest]")?.parentElement?.remove();
    this.#choose("sign-in");
  }

  /** Say what is wrong, where it is. @param {string} why @param {string} code */
  #blame(why, code) {
    if (code === "password") {
      const first = byId("password-row").hidden;
      byId("password-row").hidden = false;
      this.#say("password-error", first ? "This server has a password." : why);
      select(this.#password);
    } else if (code === "account") {
      if (this.#as === "guest") this.#choose("sign-in");
      const isOfName = this.#as === "register" && this.#secret.value.length >= LEAST_PASSWORD;
      this.#say(isOfName ? "name-error" : "secret-error", why);
      select(isOfName || !this.#name.value ? this.#name : this.#secret);
    } else if (OF_NAME.includes(code)) {
      this.#say("name-error", why);
      select(this.#name);
    } else {
      this.#say("join-error", why);
    }
  }

  /** @param {string} id @param {string} text */
  #say(id, text) {
    byId(id).textContent = text;
    const input = id.replace("-error", "");
    if (input !== "join") byId(input).setAttribute("aria-invalid", String(text !== ""));
  }
}

/** @param {HTMLInputElement} input */
function select(input) {
  input.select();
  input.focus();
}
