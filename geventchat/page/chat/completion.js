/** Completes commands, nicks and rooms. */

import { COMMANDS, usage } from "./commands.js";
import { fold } from "../text/names.js";

/** @import {Store} from "./store.js" */

const MOST = 8;

/**
 * @typedef {{begin: number, end: number, offers: {text: string, shown: string, hint: string}[]}} Completion
 * `begin` and `end`: what of the typed text an offer's `text` replaces.
 */

/**
 * What the word before the cursor may become.
 * @param {string} typed
 * @param {number} cursor
 * @param {Store} store
 * @param {boolean} asked by Tab; else only words that begin with `/` or `@` are completed
 * @returns {Completion | null}
 */
export function complete(typed, cursor, store, asked) {
  const before = typed.slice(0, cursor);
  const word = /\S*$/.exec(before)?.[0] ?? "";
  const begin = cursor - word.length;
  const first = before.slice(0, begin).trim();
  const isCommand = before.trimStart().startsWith("/") && !before.trimStart().startsWith("//");
  /** @type {Completion["offers"]} */
  let offers = [];
  if (isCommand && !first) {
    offers = commands(word.slice(1));
  } else if (isCommand && ["/join", "/leave", "/who", "/j"].includes(first.toLowerCase())) {
    offers = asked || word ? names(word, [...store.rooms.values()].filter((room) => !room.with).map((room) => room.name), " ") : [];
  } else if (word.startsWith("@") || (asked && word)) {
    const at = word.startsWith("@") ? "@" : "";
    offers = names(word.slice(at.length), [...store.others], !first && !at ? ": " : " ", at);
  } else if (asked && isCommand) {
    offers = names("", store.others, " ");
  }
  return offers.length ? { begin, end: cursor, offers: offers.slice(0, MOST) } : null;
}

/** @param {string} word */
function commands(word) {
  const start = word.toLowerCase();
  const all = [...new Set(COMMANDS.values())];
  const own = all.filter((command) => command.name.startsWith(start));
  const found = own.length ? own : all.filter((c) => c.aliases?.split(" ").some((name) => name.startsWith(start)));
  return found.map((command) => ({ text: `/${command.name} `, shown: usage(command), hint: command.help }));
}

/** @param {string} word @param {string[]} all @param {string} after @param {string} [at] */
function names(word, all, after, at = "") {
  const start = fold(word);
  const found = all.filter((name) => fold(name).startsWith(start));
  return found.map((name) => ({ text: `${at}${name}${after}`, shown: `${at}${name}`, hint: "" }));
}
