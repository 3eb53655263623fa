/** Keys that work wherever the focus is. */

import { byId } from "./elements.js";

/** @import {Chat} from "../chat/chat.js" */
/** @import {Log} from "./log.js" */

/**
 * @param {Chat} chat
 * @param {Log} log
 * @param {{close: () => boolean}} drawers
 */
export function listenToKeys(chat, log, drawers) {
  addEventListener("keydown", (event) => {
    if (document.documentElement.dataset.view !== "chat" || document.querySelector("dialog[open]")) return;
    const { altKey: alt, ctrlKey, metaKey, key } = event;
    const isModified = ctrlKey || metaKey;
    const input = byId("message");
    if (alt && !isModified && (key === "ArrowUp" || key === "ArrowDown")) step(chat, key === "ArrowUp" ? -1 : 1);
    else if (alt && !isModified && event.code === "KeyA") unread(chat);
    else if (isModified && !alt && key.toLowerCase() === "k") chat.ask(chat.store.people.features.has("search") ? "search" : "finder");
    else if (alt && !isModified && event.code === "KeyK") chat.ask("finder");
    else if (key === "Escape") escape();
    else if (key === "PageUp" || key === "PageDown") log.page(key === "PageUp" ? -0.8 : 0.8);
    else {
      // What is typed while the log has the focus is meant for the input.
      if (key.length === 1 && key !== " " && !isModified && !alt && !isTyping(event.target)) input.focus();
      return;
    }
    event.preventDefault();
  });

  function escape() {
    if (drawers.close()) return;
    byId("message").focus();
    log.follow();
  }

  byId("log").addEventListener("keydown", (event) => {
    if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
    const isUp = event.key === "ArrowUp";
    const articles = [...byId("log").querySelectorAll("article")];
    const at = articles.findIndex((each) => each.contains(document.activeElement));
    const next = at < 0 ? articles.at(-1) : articles[at + (isUp ? -1 : 1)];
    if (!next || event.altKey) return;
    event.preventDefault();
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  });
}

/** @param {Chat} chat @param {number} by */
function step(chat, by) {
  const { all, current } = chat.store;
  if (!all.length) return;
  const at = current ? all.indexOf(current) : 0;
  chat.show(all[(at + by + all.length) % all.length]);
}

/** @param {Chat} chat */
function unread(chat) {
  const { all } = chat.store;
  const wanted = all.filter((each) => each.unread > 0);
  wanted.sort((a, b) => Number(b.mentioned || b.isDirect) - Number(a.mentioned || a.isDirect));
  if (wanted[0]) chat.show(wanted[0]);
}

/** @param {EventTarget | null} target */
function isTyping(target) {
  return target instanceof HTMLElement && target.matches("input, textarea, select");
}
