/** Tells a screen reader of new messages and notices in the current conversation; never of history. */

import { byId } from "./elements.js";
import { spoken } from "./message.js";

/** @import {Store} from "../chat/store.js" */
/** @import {Item} from "../chat/conversation.js" */

const PAUSE_MS = 1_000;
const MOST = 3; // at once; then their number

/** @param {Store} store */
export function speak(store) {
  /** @type {Item[]} */
  let waiting = [];
  const tell = () => {
    const many = waiting.length > MOST;
    byId("spoken").textContent = many ? `${waiting.length} new messages` : waiting.map(spoken).join("\n");
    waiting = [];
  };
  store.listen((what, conversation, item) => {
    if (what !== "log" || !item || item.own || conversation !== store.current) return;
    if (!waiting.length) setTimeout(tell, PAUSE_MS);
    waiting.push(item);
  });
}
