/** Where messages are written: sends them, keeps a draft for each conversation, completes words. */

import { sentence } from "../chat/saying.js";
import { complete } from "../chat/completion.js";
import { LineHistory } from "../chat/line_history.js";
import { load, save } from "../client/saved.js";
import { byId } from "./elements.js";
import { Suggestions } from "./suggestions.js";

/** @import {Chat} from "../chat/chat.js" */
/** @import {Conversation} from "../chat/conversation.js" */

const DRAFT_MS = 300;

export class Composer {
  #chat;
  #input = /** @type {HTMLTextAreaElement} */ (byId("message"));
  #error = byId("composer-error");
  #history = new LineHistory();
  /** @type {Conversation | null} */
  #of = null;
  #draftTimer = 0;
  #suggestions;

  /** @param {Chat} chat @param {() => void} sent called when something was */
  constructor(chat, sent) {
    this.#chat = chat;
    this.sent = sent;
    this.#suggestions = new Suggestions(this.#input, () => this.#changed());
    chat.store.listen((what) => what === "current" && this.#switch());
    this.#input.addEventListener("input", () => this.#typed());
    this.#input.addEventListener("keydown", (event) => this.#key(event));
    this.#input.addEventListener("blur", () => this.#suggestions.hide());
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
      this.#input.focus();
    });
    addEventListener("pagehide", () => this.#saveDraft());
  }

  focus() {
    this.#input.focus();
  }

  /** Put a text where the cursor is. @param {string} text */
  insert(text) {
    const { selectionStart: at, value } = this.#input;
    const before = value.slice(0, at);
    this.#input.setRangeText(before && !/\s$/.test(before) ? ` ${text}` : text, at, this.#input.selectionEnd, "end");
    this.#changed();
    this.focus();
  }

  async #send() {
    const line = this.#input.value;
    if (!line.trim()) return;
    const of = this.#of;
    this.#blame("");
    this.#set("");
    try {
      const done = this.#chat.take(line);
      if (!/^\W*oper(ator)?\s/i.test(line)) this.#history.add(line); // a token is not kept
      this.sent();
      await done;
    } catch (error) {
      this.#blame(sentence(error));
      if (!this.#input.value && this.#of === of) this.#set(line); // nothing was done: not lost either
    }
  }

  #typed() {
    this.#history.reset();
    this.#changed();
    if (this.#input.value && !this.#input.value.startsWith("/")) this.#chat.saying.type();
  }

  /** What is in the input was changed, by whatever. */
  #changed() {
    this.#blame("");
    this.#fit();
    clearTimeout(this.#draftTimer);
    this.#draftTimer = window.setTimeout(() => this.#saveDraft(), DRAFT_MS);
    this.#suggest(false);
  }

  /** @param {boolean} asked */
  #suggest(asked) {
    const { value, selectionStart, selectionEnd } = this.#input;
    const found = selectionStart === selectionEnd ? complete(value, selectionStart, this.#chat.store, asked) : null;
    this.#suggestions.show(found);
    return found !== null;
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.isComposing || event.keyCode === 229) return; // an input method is at work
    if (this.#suggestions.key(event)) return event.preventDefault();
    if (event.key === "Enter" && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      this.#send();
    } else if (event.key === "Tab" && !event.shiftKey && this.#suggest(true)) {
      event.preventDefault();
      this.#suggestions.tab();
    } else if ((event.key === "ArrowUp" || event.key === "ArrowDown") && !hasModifier(event)) {
      this.#recall(event, event.key === "ArrowUp" ? -1 : 1);
    }
  }

  /** @param {KeyboardEvent} event @param {-1 | 1} step */
  #recall(event, step) {
    const { value, selectionStart, selectionEnd } = this.#input;
    const edge = step < 0 ? 0 : value.length;
    const isAtEdge = selectionStart === selectionEnd && (selectionStart === edge || this.#history.isMoving);
    if (!isAtEdge) return;
    const line = this.#history.move(step, value);
    if (line === null) return;
    event.preventDefault();
    this.#set(line);
  }

  #switch() {
    this.#saveDraft();
    this.#of = this.#chat.store.current;
    this.#history.reset();
    this.#blame("");
    this.#set(this.#of ? load(`draft.${this.#of.id}`, "") : "");
    if (matchMedia("(hover: hover)").matches) this.focus(); // elsewhere a keyboard would rise
  }

  #saveDraft() {
    clearTimeout(this.#draftTimer);
    if (this.#of && this.#chat.store.status.is !== "taken") save(`draft.${this.#of.id}`, this.#input.value || undefined);
  }

  /** @param {string} text */
  #set(text) {
    this.#input.value = text;
    this.#input.setSelectionRange(text.length, text.length);
    this.#suggestions.hide();
    this.#fit();
    this.#saveDraft();
  }

  /** As high as its lines, up to what the style allows. */
  #fit() {
    if (CSS.supports("field-sizing", "content")) return; // the style does it
    this.#input.style.height = "auto";
    this.#input.style.height = `${this.#input.scrollHeight}px`;
  }

  /** @param {string} why */
  #blame(why) {
    if (this.#error.textContent !== why) this.#error.textContent = why;
    this.#input.setAttribute("aria-invalid", String(why !== ""));
  }
}

/** @param {KeyboardEvent} event */
function hasModifier(event) {
  return event.altKey || event.ctrlKey || event.metaKey || event.shiftKey;
}
