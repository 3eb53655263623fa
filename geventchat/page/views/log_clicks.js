/** What happens when something in the log is clicked, or Enter is pressed on a message. */

import { byId } from "./elements.js";

/** @import {Chat} from "../chat/chat.js" */
/** @import {Log} from "./log.js" */
/** @import {Menus} from "./menus.js" */

/** @param {Chat} chat @param {Log} log @param {Menus} menus */
export function listenToLog(chat, log, menus) {
  const list = byId("log");
  list.addEventListener("click", (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    const button = target.closest("button");
    const item = log.item(target.closest("article"));
    const { current } = chat.store;
    if (!button || !item || !current) return;
    if (button.matches(".author")) menus.ofNick(item.author, button);
    else if (button.matches(".more")) menus.ofMessage(item, button);
    else if (button.matches(".again")) chat.saying.again(current, item);
    else if (button.matches(".discard")) chat.saying.discard(current, item);
  });
  list.addEventListener("keydown", (event) => {
    const article = /** @type {HTMLElement} */ (event.target);
    const item = article.matches("article") ? log.item(article) : undefined;
    if (item && (event.key === "Enter" || event.key === "ContextMenu")) {
      event.preventDefault();
      menus.ofMessage(item, article);
    }
  });
}
