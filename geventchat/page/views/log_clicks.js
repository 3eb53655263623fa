/** What happens when something in the log is clicked or held, or Enter is pressed on a message. */

import { byId } from "./elements.js";

/** @import {Chat} from "../chat/chat.js" */
/** @import {Log} from "./log.js" */
/** @import {Menus} from "./menus.js" */

const HOLD_MS = 500;
const STILL = 10; // pixels that a finger may move meanwhile

/** @param {Chat} chat @param {Log} log @param {Menus} menus */
export function listenToLog(chat, log, menus) {
  const list = byId("log");
  list.addEventListener("click", (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    const button = target.closest("button");
    const item = log.item(target.closest("article"));
    const { current } = chat.store;
    if (!button || !item || !current) return;
    if (button.matches(".author") && !item.hook) menus.ofNick(item.author, button);
    else if (button.matches(".author, .more")) menus.ofMessage(item, button);
    else if (button.matches(".again")) chat.saying.again(current, item);
    else if (button.matches(".expand")) log.stay();
    else if (button.matches(".discard")) chat.saying.discard(current, item);
  });
  list.addEventListener("keydown", (event) => {
    const article = /** @type {HTMLElement} */ (event.target);
    if (!article.matches("article") || (event.key !== "Enter" && event.key !== "ContextMenu")) return;
    event.preventDefault();
    open(article);
  });
  hold(list, open);

  /** @param {HTMLElement} article */
  function open(article) {
    const item = log.item(article);
    if (item) menus.ofMessage(item, article);
  }
}

/** Call when a finger is held on a message, as a mouse would click its menu. @param {HTMLElement} list @param {(article: HTMLElement) => void} open */
function hold(list, open) {
  let timer = 0;
  let at = { x: 0, y: 0 };
  /** @type {HTMLElement | null} the message whose menu was opened under the finger */
  let held = null;
  let lifted = false;
  list.addEventListener("pointerdown", ({ pointerType, target, clientX: x, clientY: y }) => {
    clearTimeout(timer);
    held = null;
    lifted = false;
    const touched = /** @type {HTMLElement} */ (target);
    const article = touched.closest("article");
    if (pointerType === "mouse" || !article || touched.closest("a, .more")) return;
    at = { x, y };
    timer = window.setTimeout(() => open((held = article)), HOLD_MS);
  });
  list.addEventListener("pointermove", ({ clientX: x, clientY: y }) => {
    if (Math.hypot(x - at.x, y - at.y) > STILL) clearTimeout(timer);
  });
  list.addEventListener("contextmenu", (event) => {
    if (held) event.preventDefault(); // the browser's own menu would cover it
  });
  list.addEventListener("touchend", (event) => {
    if (lifted) event.preventDefault(); // no click follows, which would close the menu
  });
  for (const type of /** @type {const} */ (["pointerup", "pointercancel"])) {
    addEventListener(type, () => {
      clearTimeout(timer);
      const article = held;
      held = null;
      lifted = article !== null;
      // Lifting the finger outside of a menu closes it.
      if (article) setTimeout(() => byId("menu").matches(":popover-open") || open(article));
    });
  }
}
