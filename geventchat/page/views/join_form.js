/** The form that one joins by: a name, and a password if the server has one. */

import { sentence } from "../chat/saying.js";
import { Refused } from "../client/connection.js";
import { load } from "../client/saved.js";
import { byId } from "./elements.js";

/** @import {Chat} from "../chat/chat.js" */

const OF_NAME = ["bad_nick", "nick_in_use", "nick_too_similar", "bad_field", "muted"];

export class JoinForm {
  #chat;
  #linked;
  #form = byId("join-form");
  #name = /** @type {HTMLInputElement} */ (byId("name"));
  #password = /** @type {HTMLInputElement} */ (byId("password"));
  #button = /** @type {HTMLButtonElement} */ (this.#form.querySelector("button"));

  /** @param {Chat} chat @param {() => string} linked the room that the address names */
  constructor(chat, linked) {
    this.#chat = chat;
    this.#linked = linked;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#join();
    });
    this.#name.addEventListener("input", () => this.#say("name-error", ""));
    this.#password.addEventListener("input", () => this.#say("password-error", ""));
  }

  /** Show the form. @param {string} [why] the chat has ended @param {string} [code] */
  show(why = "", code = "") {
    document.documentElement.dataset.view = "join";
    document.title = "geventchat";
    this.#name.value ||= load("name", "");
    const room = this.#linked();
    byId("join-where").textContent = room ? `You are about to join ${room}.` : "Pick a name and you are in.";
    this.#blame(why, code);
    if (!byId("password-row").contains(document.activeElement)) this.#name.focus();
  }

  async #join() {
    for (const id of ["name-error", "password-error", "join-error"]) this.#say(id, "");
    const name = this.#name.value.trim();
    if (!name) return this.#blame("Type a name first.", "bad_nick");
    this.#button.disabled = true;
    this.#button.textContent = "Joining…";
    try {
      await this.#chat.enter(name, this.#password.value, this.#linked());
      this.#password.value = "";
      document.documentElement.dataset.view = "chat";
      byId("message").focus();
    } catch (error) {
      const code = error instanceof Refused ? error.code : /** @type {{code?: string}} */ (error).code;
      this.#blame(sentence(error), code ?? "");
    } finally {
      this.#button.disabled = false;
      this.#button.textContent = "Join";
    }
  }

  /** Say what is wrong, where it is. @param {string} why @param {string} code */
  #blame(why, code) {
    if (code === "password") {
      const first = byId("password-row").hidden;
      byId("password-row").hidden = false;
      this.#say("password-error", first ? "This server has a password." : why);
      this.#password.select();
      this.#password.focus();
    } else if (OF_NAME.includes(code)) {
      this.#say("name-error", why);
      this.#name.select();
      this.#name.focus();
    } else {
      this.#say("join-error", why);
    }
  }

  /** @param {string} id @param {string} text */
  #say(id, text) {
    byId(id).textContent = text;
    const input = id.replace("-error", "");
    if (input === "name" || input === "password") byId(input).setAttribute("aria-invalid", String(text !== ""));
  }
}
