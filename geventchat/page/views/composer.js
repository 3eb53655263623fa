/** Where messages are written: sends them, keeps a draft for each conversation, completes words. */

import { sentence } from "../chat/saying.js";
import { complete } from "../chat/completion.js";
import { asTyped, SENDING, textOf } from "../chat/changes.js";
import { LineHistory } from "../chat/line_history.js";
import { load, save } from "../client/saved.js";
import { byId } from "./elements.js";
import { Editing } from "./editing.js";
import { Suggestions } from "./suggestions.js";

/** @import {Chat} from "../chat/chat.js" */
/** @import {Conversation, Item} from "../chat/conversation.js" */

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
  #editing = new Editing(() => this.#cancel());

  /** @param {Chat} chat @param {() => void} sent called when something was */
  constructor(chat, sent) {
    this.#chat = chat;
    this.sent = sent;
    this.#suggestions = new Suggestions(this.#input, () => this.#changed());
    chat.store.listen((what, _, item) => {
      if (what === "current" && this.#of !== chat.store.current) this.#switch(); // else the other one has another nick
      if (what === "change" && item?.redacted && item === this.#editing.item) this.#cancel("That message was taken back.");
    });
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

  /** Edit a message of the user, of the current conversation. @param {Item} item @param {string} [text] */
  edit(item, text = asTyped(item.text)) {
    this.#saveDraft();
    this.#editing.begin(this.#of, item, this.#input.value);
    this.#blame("");
    this.#set(text);
    this.focus();
  }

  /** Leave the message as it is. @param {string} [why] */
  #cancel(why = "") {
    this.#set(this.#editing.end());
    this.#blame(why);
    this.focus();
  }

  async #saveEdit() {
    const { item, room } = this.#editing;
    const line = this.#input.value;
    if (!item) return;
    try {
      if (!line.trim()) return this.#blame("A message cannot be empty. Take it back from its menu.");
      const text = textOf(line);
      this.#cancel();
      if (text !== item.text) await this.#chat.changes.edit(room, item.position, text);
    } catch (error) {
      if (this.#of === room && !this.#editing.item) this.edit(item, line); // nothing was done: not lost either
      this.#blame(sentence(error));
    }
  }

  async #send() {
    if (this.#editing.item) return this.#saveEdit();
    const line = this.#input.value;
    if (!line.trim()) return;
    const of = this.#of;
    this.#blame("");
    this.#set("");
    try {
      const done = this.#chat.take(line);
      if (!/^\W*(oper(ator)?|register|login|signin|password)\s/i.test(line)) this.#history.add(line); // a token or a password is not kept
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
    const { changes } = this.#chat;
    const edits = event.key === "ArrowUp" && !hasModifier(event) && this.#isFresh;
    const last = edits ? changes.last : undefined;
    if (event.key === "Escape" && this.#editing.item) {
      event.preventDefault();
      event.stopPropagation();
      this.#cancel();
    } else if (last || (edits && changes.isSending)) {
      event.preventDefault();
      if (last) this.edit(last);
      else this.#blame(SENDING);
    } else if (event.key === "Enter" && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      this.#send();
    } else if (event.key === "Tab" && !event.shiftKey && this.#suggest(true)) {
      event.preventDefault();
      this.#suggestions.tab();
    } else if ((event.key === "ArrowUp" || event.key === "ArrowDown") && (event.ctrlKey || !hasModifier(event))) {
      this.#recall(event, event.key === "ArrowUp" ? -1 : 1);
    }
  }

  /** Whether nothing is typed, and nothing that was typed is brought back: then the last message is. */
  get #isFresh() {
    return !this.#input.value && !this.#editing.item && !this.#history.isMoving && !this.#history.isCommand;
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
    this.#editing.end();
    this.#of = this.#chat.store.current;
    this.#history.reset();
    this.#blame("");
    this.#set(this.#of ? load(`draft.${this.#of.id}`, "") : "");
    if (matchMedia("(hover: hover)").matches) this.focus(); // elsewhere a keyboard would rise
  }

  #saveDraft() {
    clearTimeout(this.#draftTimer);
    if (this.#of && this.#chat.store.status.is !== "taken") {
      const draft = this.#editing.item ? this.#editing.draft : this.#input.value;
      save(`draft.${this.#of.id}`, draft || undefined);
    }
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
