/** The commands of operators, and what the server answers to them. */

import { beginsLikeOne, FORMS, seconds, shown } from "../text/durations.js";

/** @import {Chat} from "./chat.js" */
/** @import {Command} from "./commands.js" */
/** @import {Admin, Rule} from "../protocol" */

const OF_ROOMS = ["lock", "unlock", "freeze", "unfreeze", "end"];
const TIMED = ["ban", "mute", "lock", "freeze", "close"];
const OF_MODERATORS = ["mute", "unmute"]; // in their private rooms, where they are no operators
const REMOVING = ["unban", "unmute", "unlock", "unfreeze", "open"];

/** Show what an action did. @param {Chat} chat @param {Admin} done */
export function report(chat, done) {
  const { action, rules, connections_closed: closed, total, note } = done;
  if (action === "list" && !rules.length) chat.notice("No rules are in force.");
  for (const rule of rules) chat.notice(`${REMOVING.includes(action) ? "removed: " : ""}${text(rule)}`);
  if (action === "list" && rules.length < total) chat.notice(`and ${total - rules.length} older rules`);
  if (action === "end") chat.notice("The private room has ended.");
  if (closed || ["kick", "ban"].includes(action)) chat.notice(`connections closed: ${closed}`);
  if (note) chat.notice(note);
}

/** @param {Rule} rule */
function text({ action, target_type, target, until, operator, reason }) {
  const end = until === undefined ? "undone" : new Date(until).toLocaleString();
  const what = [action, target_type, target].filter(Boolean).join(" ");
  return `${what} until ${end}, by ${operator}${reason ? `: ${reason}` : ""}`;
}

/** @param {string} action @returns {Command["run"]} */
function admin(action) {
  return async (chat, given) => {
    if (OF_MODERATORS.includes(action) && !chat.store.operator && chat.store.current?.moderator) {
      const time = given.time ? seconds(given.time) : undefined;
      return chat.privately.mute(given.target, chat.store.current.name, action === "mute", time);
    }
    const ofRoom = OF_ROOMS.includes(action);
    const room = ofRoom ? chat.roomName(given.room ?? "") : undefined;
    const last = room !== undefined ? (chat.store.room(room) ? "" : room) : given.reason;
    if (last && TIMED.includes(action) && beginsLikeOne(last)) {
      throw new Error(`${shown(last)} is not a valid duration. TIME is ${FORMS}.`);
    }
    const done = await chat.admin({
      action,
      target: given.nick ?? given.target ?? room,
      target_type: given.target_type?.toLowerCase(),
      seconds: given.time ? seconds(given.time) : undefined,
      reason: given.reason,
    });
    report(chat, done);
  };
}

/** @type {[name: string, arguments: string, help: string][]} */
const ACTIONS = [
  ["kick", "NICK [REASON]", "disconnect a user"],
  ["ban", "TARGET [TIME] [REASON]", "ban a user or an address"],
  ["unban", "TARGET", "lift a ban"],
  ["mute", "TARGET [TIME] [REASON]", "mute a user"],
  ["unmute", "TARGET", "unmute a user"],
  ["lock", "[ROOM] [TIME]", "lock the topic"],
  ["unlock", "[ROOM]", "unlock the topic"],
  ["freeze", "[ROOM] [TIME]", "let only operators post"],
  ["unfreeze", "[ROOM]", "let everyone post again"],
  ["end", "ROOM", "end a private room"],
  ["close", "[TIME]", "refuse new users"],
  ["open", "", "accept new users again"],
  ["recycle", "", "replace the workers"],
];

/** @type {Command[]} */
export const OPERATOR_COMMANDS = [
  {
    name: "operator", arguments: "[TOKEN]", help: "become an operator",
    run: (chat, { token }) => (token ? chat.becomeOperator(token) : chat.ask("operator")), aliases: "oper",
  },
  ...ACTIONS.map(([name, usage, help]) => (
    { name, arguments: usage, help: `operators: ${help}`, run: admin(name) }
  )),
  { name: "rules", arguments: "", help: "operators: list the rules in force", run: admin("list") },
];
