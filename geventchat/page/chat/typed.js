/**
 * What a typed line is: a text to send, or a command.
 *
 * A private text must never be sent to a room by mistake. So a command is one behind blanks, what
 * is invisible and other slashes too, and a line that only looks like one is not sent at all.
 */

import { COMMANDS, NotUnderstood } from "./commands.js";
import { INVISIBLE } from "../text/names.js";

/** @import {Command} from "./commands.js" */

/** The slash, and what an input method or a copied page has in its place. */
const SLASHES = "/\uff0f\u2044\u2215\u29f8\u2571";
/** What one gets with a key beside that of the slash, or without Shift. */
const MISTYPED_SLASHES = "\\\\\uff3c\ufe68\u29f5\u30fb\u3001:?&67-";
const SHOWN_CHARACTERS = 40; // of an unknown command, since it may be pasted text
const PRIVATE = ["msg", "query"];
const PRIVATE_NAMES = [...COMMANDS].filter(([name, c]) => PRIVATE.includes(c.name) && name.length > 2)
  .map(([name]) => name);
const ALMOST_PRIVATE = new RegExp(
  `^([^\\p{L}\\p{N}_]{0,3}[${SLASHES}][^\\p{L}\\p{N}_]?|[${MISTYPED_SLASHES}][^\\p{L}\\p{N}_\\s]?)` +
    `(${PRIVATE_NAMES.join("|")})\\s+\\S`,
  "iu",
);

/**
 * The text to send, or the command and what follows its name. Throws NotUnderstood if it looks like
 * a command, or a private text, and is none.
 * @param {string} line
 * @returns {string | [Command, string]}
 */
export function read(line) {
  const bare = fromFirstVisible(line);
  const escaped = bare.startsWith("//");
  if (escaped || !bare || !SLASHES.includes(bare[0])) {
    if (ALMOST_PRIVATE.test(bare)) {
      throw new NotUnderstood(
        "Not sent: it looks like a direct message. /msg NICK TEXT sends one, " +
          "/say TEXT sends anything to the room.",
      );
    }
    return escaped ? bare.slice(1) : line;
  }
  const [word] = bare.slice(1).split(/\s/, 1);
  const rest = fromFirstVisible(bare.slice(1 + word.length));
  const name = [...word].filter((c) => !isUnseen(c)).join("").normalize("NFKC").toLowerCase();
  const command = COMMANDS.get(name);
  if (command) return [command, rest];
  const near = similar(name);
  const [head] = name.split("/", 1);
  const privately = PRIVATE_NAMES.includes(similar(head) ?? "");
  if (name.includes("/") && head && !COMMANDS.has(head) && !privately) return line; // a path
  if (!bare.startsWith("/") && word && !near) return line; // a drawing
  const hint = near ? `did you mean /${near}?` : "see /help.";
  throw new NotUnderstood(
    `Unknown command /${word.slice(0, SHOWN_CHARACTERS)}; ${hint} Begin with // to send it as text.`,
  );
}

/** The name of a command that was probably meant. @param {string} name */
function similar(name) {
  if (!name) return undefined;
  const names = [...COMMANDS.keys()].filter((known) => known.length > 2);
  const begun = names.find((known) => known.startsWith(name));
  if (begun || name.length > SHOWN_CHARACTERS) return begun;
  const near = names.map((known) => ({ known, far: distance(known, name) }));
  near.sort((a, b) => a.far - b.far);
  return near[0].far <= Math.max(near[0].known.length, name.length) / 3 ? near[0].known : undefined;
}

/** How many letters differ, or are swapped with the next. @param {string} a @param {string} b */
function distance(a, b) {
  const rows = [Array.from({ length: b.length + 1 }, (_, i) => i)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = rows[i - 1][j - 1] + Number(a[i - 1] !== b[j - 1]);
      const isSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swapped = isSwapped ? rows[i - 2][j - 2] + 1 : Infinity;
      row.push(Math.min(replaced, swapped, rows[i - 1][j] + 1, row[j - 1] + 1));
    }
    rows.push(row);
  }
  return rows[a.length][b.length];
}

/** @param {string} text */
function fromFirstVisible(text) {
  let at = 0;
  for (const character of text) {
    if (!isUnseen(character)) return text.slice(at);
    at += character.length;
  }
  return "";
}

/** @param {string} character */
function isUnseen(character) {
  return INVISIBLE.test(character) || /[\s\p{C}\p{Z}]/u.test(character);
}
