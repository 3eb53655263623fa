/** The command about webhooks. */

import { NotUnderstood } from "./commands.js";

/** @import {Chat} from "./chat.js" */
/** @import {Command} from "./commands.js" */
/** @import {Hook} from "../protocol" */

/** @param {Chat} chat @param {Record<string, string>} given */
async function hook(chat, { action = "list", name = "" }) {
  action = action.toLowerCase();
  if (!["add", "list", "revoke"].includes(action) || (action === "revoke" && !name)) {
    throw new NotUnderstood("Usage: /hook add [ROOM], /hook list [ROOM], /hook revoke ID");
  }
  const room = action === "add" || name ? chat.roomName(name) : undefined;
  const what = action === "revoke" ? { hook: name } : { room };
  const { hooks } = await chat.connection.request("hook", { action, ...what });
  if (!hooks.length) chat.notice("There are no webhooks.");
  for (const each of hooks) chat.notice(action === "add" ? added(each) : `${action === "revoke" ? "revoked: " : ""}${text(each)}`);
}

/** The address is that of this page: the server may know itself by another. @param {Hook} hook */
function added({ id, room, token }) {
  return `Webhook ${id} posts into ${room}; its address is shown only now: curl -d 'build is green' ${location.origin}/hook/${token}`;
}

/** @param {Hook} hook */
function text({ id, room, by, created }) {
  return `${id} posts into ${room}, made by ${by}, ${new Date(created).toLocaleString()}`;
}

/** @type {Command[]} */
export const HOOK_COMMANDS = [
  {
    name: "hook", arguments: "[ACTION] [NAME]", aliases: "hooks webhook", run: hook,
    help: "operators, moderators: add ROOM, list [ROOM], revoke ID: webhooks",
  },
];
