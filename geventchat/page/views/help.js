/** What /help shows: the commands and the keys. */

import { COMMANDS, usage } from "../chat/commands.js";
import { element } from "./elements.js";
import { tell } from "./dialog.js";

const KEYS = [
  ["Enter", "send; Shift+Enter begins a new line"],
  ["Alt+↑ Alt+↓", "go to the conversation before, the next"],
  ["Alt+A", "go to one with something unread"],
  ["Ctrl+K Alt+K", "search messages, find a room"],
  ["↑", "edit your last message; after a command, recall it"],
  ["Ctrl+↑ Ctrl+↓", "what you typed before"],
  ["Tab", "complete a name or a command"],
  ["PageUp PageDown", "scroll the messages"],
  ["Escape", "close what is open; else go to the newest message"],
];

/** @param {boolean} operator */
export function showHelp(operator) {
  const commands = [...new Set(COMMANDS.values())]
    .filter(({ help }) => operator || !help.startsWith("operators:"))
    .map((command) => [usage(command), command.help]);
  const more = [["//TEXT", "send text that begins with a slash"], ["``` code ```", "send code; `one line` too"]];
  tell("Help", element("div", { className: "scroll", tabIndex: 0 }, element("h3", {}, "Keys"), table(KEYS), element("h3", {}, "Commands"), table([...commands, ...more])));
}

/** @param {string[][]} rows */
function table(rows) {
  return element("dl", {}, ...rows.flatMap(([term, text]) => [element("dt", {}, term), element("dd", {}, text)]));
}
