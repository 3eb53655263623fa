/** Slash commands: /help, completion and the reading of arguments follow from the table at the end. */

import { HOOK_COMMANDS } from "./hook_commands.js";
import { OPERATOR_COMMANDS } from "./operator_commands.js";
import { PEOPLE_COMMANDS } from "./people_commands.js";
import { FORMS, PATTERN } from "../text/durations.js";
import { fold } from "../text/names.js";
import { ACTION } from "../text/text.js";

/** @import {Chat} from "./chat.js" */

/**
 * @typedef {{
 *   name: string,
 *   arguments: string,
 *   help: string,
 *   run: (chat: Chat, given: Record<string, string>) => unknown,
 *   aliases?: string,
 * }} Command
 * `arguments`: in capitals, optional ones in brackets; the last takes the rest, unless it is of a
 * kind. `run` may return a promise, and throw or reject.
 */

/** Nothing was done: the line is no command, or not a valid one. */
export class NotUnderstood extends Error {}

/** Arguments with a syntax of their own. @type {Record<string, string>} */
const KINDS = {
  TARGET: "(?<target>\\S+)(?:\\s+by\\s+(?<target_type>address|nick|client))?",
  TIME: `(?:for\\s+)?(?<time>${PATTERN})`,
  POST: "#(?<post>[0-9]{1,16})",
};
/** At most the number of a post. */
const NO_TEXT = /^(#[0-9]{1,16})?\s*$/;

/**
 * Run a command with what follows its name.
 * @param {Command} command
 * @param {string} rest
 * @param {Chat} chat
 */
export function runCommand(command, rest, chat) {
  const given = parse(command, rest);
  if (given) return command.run(chat, given);
  const missing = NO_TEXT.test(rest) ? "Missing argument. " : "";
  const forms = command.arguments.includes("TIME") ? `; TIME is ${FORMS}` : "";
  throw new NotUnderstood(`${missing}Usage: ${usage(command)}${forms}`);
}

/** Without the number of a post, which the page does not show. @param {Command} command */
export function usage(command) {
  return `/${command.name} ${command.arguments}`.replace(" [POST]", "").trimEnd();
}

/**
 * The arguments by name; null if they do not match.
 * @param {Command} command
 * @param {string} rest
 * @returns {Record<string, string> | null}
 */
export function parse(command, rest) {
  if (command.arguments.startsWith("[POST] ") && NO_TEXT.test(rest)) return null; // the number is no text
  const kinds = command.arguments.split(" ").filter(Boolean);
  const last = kinds.at(-1)?.replace(/[[\]]/g, "") ?? "";
  let pattern = "";
  for (const [i, kind] of kinds.entries()) {
    const name = kind.replace(/[[\]]/g, "");
    const text = i === kinds.length - 1 ? "\\S[^]*" : "\\S+";
    const form = KINDS[name] ?? `(?<${name.toLowerCase()}>${text})`;
    const lazy = !(name in KINDS) && last in KINDS; // what may be of the last kind is left to it
    pattern += `(?:\\s+${form})${name === kind ? "" : lazy ? "??" : "?"}`;
  }
  const found = new RegExp(`^${pattern}\\s*$`, "i").exec(kinds.length ? ` ${rest}` : "");
  if (!found) return null;
  return Object.fromEntries(Object.entries(found.groups ?? {}).filter(([, text]) => text));
}

/** @param {Chat} chat @param {Record<string, string>} given */
function help(chat, { command: name = "" }) {
  const command = COMMANDS.get(name.replace(/^\//, "").toLowerCase());
  if (name && !command) throw new NotUnderstood(`Unknown command ${name}; see /help.`);
  if (!command) return chat.ask("help");
  chat.notice(`${usage(command)} – ${command.help}`);
}

/** @param {Chat} chat @param {Record<string, string>} given */
async function who(chat, { room = "" }) {
  const members = await chat.who(chat.roomName(room));
  const nicks = members.nicks.sort((a, b) => a.localeCompare(b)).join(", ");
  const more = members.count - members.nicks.length;
  chat.notice(`${chat.store.room(members.room)?.title ?? members.room}: ${nicks}${more > 0 ? ` and ${more} more` : ""}`);
}

/** @param {Chat} chat @param {Record<string, string>} given */
async function query(chat, { nick, text }) {
  if (!nick) throw new NotUnderstood("Usage: /query NICK [TEXT]");
  await chat.write(nick);
  if (text) await chat.saying.direct(nick, text);
}

/** @param {Chat} chat @param {Record<string, string>} given */
function topic(chat, { text }) {
  const room = chat.store.current;
  if (!text) return chat.notice(room?.topic || "No topic is set.");
  return chat.topic(text.trim().toLowerCase() === "-delete" ? "" : text);
}

/** @param {Chat} chat @param {Record<string, string>} given */
function ignore(chat, { nick }) {
  const { store } = chat;
  if (!nick) return chat.notice(`Ignored: ${store.ignored.all.join(", ") || "nobody"}.`);
  if (fold(nick) === fold(store.nick)) throw new NotUnderstood("That is your own nick.");
  if (store.ignored.has(nick)) return unignore(chat, { nick });
  store.ignore(nick, true);
  chat.notice(`Ignoring ${nick}, under a new nick too; /unignore ${nick} to undo.`);
}

/** @param {Chat} chat @param {Record<string, string>} given */
function unignore(chat, { nick }) {
  if (!chat.store.ignored.has(nick)) {
    throw new NotUnderstood(`${nick} is not ignored; /ignore lists who is.`);
  }
  chat.store.ignore(nick, false);
  chat.notice(`No longer ignoring ${nick}.`);
}

/** @param {Chat} chat @param {Record<string, string>} given */
function history(chat, { count = "100" }) {
  if (!/^[0-9]{1,3}$/.test(count) || +count < 1 || +count > 500) {
    throw new NotUnderstood("Usage: /history [COUNT], a number from 1 to 500, in a room.");
  }
  return chat.paging.older(+count);
}

/** @type {Command[]} */
const OWN = [
  { name: "help", arguments: "[COMMAND]", help: "list commands", run: help, aliases: "h ? commands" },
  { name: "nick", arguments: "NICK", help: "change your nick", run: (chat, { nick }) => chat.rename(nick) },
  {
    name: "join", arguments: "ROOM", help: "join a room, or switch to one you are in",
    run: (chat, { room }) => (room.startsWith("@") ? chat.write(room.slice(1)) : chat.join(chat.roomName(room))), aliases: "j room",
  },
  {
    name: "leave", arguments: "[ROOM]", help: "leave a room; default: this one",
    run: (chat, { room = "" }) => chat.leave(room && chat.roomName(room)), aliases: "part",
  },
  { name: "who", arguments: "[ROOM]", help: "list the members of a room", run: who, aliases: "names n w users" },
  {
    name: "msg", arguments: "NICK [TEXT]", help: "send a direct message, or begin one",
    run: (chat, { nick, text }) => {
      const to = nick.replace(/^@/, "");
      return text ? chat.saying.direct(to, text) : chat.write(to);
    },
    aliases: "m dm pm tell whisper privmsg notice",
  },
  { name: "query", arguments: "[NICK] [TEXT]", help: "write to one user alone", run: query, aliases: "q" },
  {
    name: "me", arguments: "TEXT", help: "say what you do: * anna TEXT",
    run: (chat, { text }) => chat.saying.say(`${ACTION}${text}`),
  },
  {
    name: "say", arguments: "TEXT", help: "send a text, whatever it begins with",
    run: (chat, { text }) => chat.saying.say(text),
  },
  {
    name: "edit", arguments: "[POST] TEXT", help: "correct your last message",
    run: ({ changes, store }, { post, text }) => changes.edit(store.current, changes.position(post), text),
  },
  {
    name: "redact", arguments: "[POST]", help: "take back your last message",
    run: ({ changes, store }, { post }) => changes.takeBack(store.current, changes.position(post)),
  },
  {
    name: "search", arguments: "[TEXT]", help: "find messages in your rooms",
    run: (chat, { text }) => chat.ask("search", text), aliases: "find grep",
  },
  { name: "history", arguments: "[COUNT]", help: "load older messages of this room", run: history },
  {
    name: "list", arguments: "[PREFIX]", help: "find rooms on the server",
    run: (chat, { prefix = "" }) => chat.ask("finder", prefix), aliases: "rooms ls more",
  },
  { name: "topic", arguments: "[TEXT]", help: "show or set the topic; -delete removes it", run: topic, aliases: "t" },
  { name: "ignore", arguments: "[NICK]", help: "hide a user, or list who is hidden", run: ignore, aliases: "ig" },
  { name: "unignore", arguments: "NICK", help: "stop ignoring a user", run: unignore },
];

/** By name and alias, in the order of /help. @type {Map<string, Command>} */
export const COMMANDS = new Map(
  [
    ...OWN,
    ...PEOPLE_COMMANDS,
    ...HOOK_COMMANDS,
    ...OPERATOR_COMMANDS,
    {
      name: "quit", arguments: "", help: "leave the chat", aliases: "exit bye signoff",
      run: (/** @type {Chat} */ chat) => chat.quit(),
    },
  ].flatMap((command) => [command.name, ...(command.aliases ?? "").split(" ").filter(Boolean)]
    .map((name) => /** @type {const} */ ([name, command]))),
);
