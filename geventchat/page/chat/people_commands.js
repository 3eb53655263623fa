/** The commands about accounts, conversations and private rooms. */

import { NotUnderstood } from "./commands.js";

/** @import {Chat} from "./chat.js" */
/** @import {Command} from "./commands.js" */

/** The first word: what follows may be a password, which has no place in the line. @param {string} [typed] */
function nickOf(typed = "") {
  return typed.split(/\s/, 1)[0];
}

/** The private room that is meant. @param {Chat} chat @param {string} [room] */
function roomOf(chat, room = "") {
  const meant = room ? chat.store.room(chat.roomName(room)) : chat.store.current;
  if (!meant?.private || meant.isDirect) throw new NotUnderstood(`${room || "This"} is not a private room that you are in.`);
  return meant.name;
}

/** @param {Chat} chat @param {Record<string, string>} given */
async function create(chat, { room, history = "all" }) {
  if (!["all", "joined"].includes(history)) throw new NotUnderstood("Usage: /create ROOM [HISTORY], which is all or joined.");
  await chat.create(chat.roomName(room), history === "joined");
}

/** @param {Chat} chat @param {Record<string, string>} given */
async function block(chat, { nick }) {
  if (nick) return chat.account.block(nick, true);
  chat.notice(`Blocked: ${(await chat.account.blocked()).join(", ") || "nobody"}.`);
}

/** @param {Chat} chat @param {Record<string, string>} given */
function login(chat, { nick }) {
  if (chat.store.people.account) throw new NotUnderstood(`You are signed in as ${chat.store.nick}; /logout first.`);
  return chat.ask("login", nickOf(nick));
}

/** @param {Chat} chat @param {Record<string, string>} given */
function register(chat, { nick }) {
  if (chat.store.people.account) throw new NotUnderstood(`${chat.store.nick} is your account; /nick changes its name.`);
  return chat.ask("register", nickOf(nick));
}

/** @type {Command[]} */
export const PEOPLE_COMMANDS = [
  {
    name: "register", arguments: "[NICK]", help: "make your nick an account of yours", run: register,
  },
  {
    name: "login", arguments: "[NICK]", help: "sign in to your account",
    run: login, aliases: "signin",
  },
  {
    name: "logout", arguments: "", help: "sign out in this browser",
    run: (chat) => chat.account.signOut(), aliases: "signout",
  },
  { name: "password", arguments: "", help: "change the password of your account", run: (chat) => chat.ask("password") },
  { name: "sessions", arguments: "", help: "list where you are signed in", run: (chat) => chat.ask("sessions") },
  { name: "revoke", arguments: "[NUMBER]", help: "end one of your sessions", run: (chat) => chat.ask("sessions") },
  {
    name: "conversations", arguments: "", help: "list your conversations, older ones too",
    run: (chat) => chat.ask("conversations"), aliases: "dms",
  },
  { name: "block", arguments: "[NICK]", help: "refuse direct messages of an account, or list whose", run: block },
  { name: "unblock", arguments: "NICK", help: "take direct messages of an account again", run: (chat, { nick }) => chat.account.block(nick, false) },
  {
    name: "create", arguments: "ROOM [HISTORY]", help: "make a private room; HISTORY: all or joined, what newcomers see",
    run: create,
  },
  {
    name: "invite", arguments: "NICK [ROOM]", help: "invite an account to a private room",
    run: (chat, { nick, room }) => chat.privately.invite(nick, roomOf(chat, room)),
  },
  {
    name: "remove", arguments: "NICK [ROOM]", help: "remove an account from a private room",
    run: (chat, { nick, room }) => chat.privately.remove(nick, roomOf(chat, room)),
  },
  {
    name: "moderator", arguments: "NICK", help: "make a member a moderator of this private room",
    run: (chat, { nick }) => chat.privately.moderator(nick, roomOf(chat), true),
  },
  {
    name: "unmoderator", arguments: "NICK", help: "moderators: undo that",
    run: (chat, { nick }) => chat.privately.moderator(nick, roomOf(chat), false),
  },
];
