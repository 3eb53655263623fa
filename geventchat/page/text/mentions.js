/**
 * Finds a nick in a text, however either was typed.
 *
 * A mark belongs to the letter before it. A name ends where a word ends, or where another script
 * begins: `kimさん` names kim. The same rules as the terminal's.
 */

import { fold, INVISIBLE } from "./names.js";

/** Characters of a text that are looked at: to fold a long run of marks takes seconds. */
const SEARCHED = 1_000;

/** Scripts whose words, or endings such as `씨`, follow a name without a space. */
const WITHOUT_SPACES = "Bopomofo Han Hangul Hiragana Javanese Khmer Lao Myanmar Thai Tibetan";
const WITH_SPACES =
  "Latin Greek Cyrillic Arabic Hebrew Devanagari Bengali Tamil Telugu Kannada Malayalam Gujarati " +
  "Gurmukhi Sinhala Armenian Georgian Ethiopic Mongolian Katakana";
const SHORTEST_WITHOUT_SPACES = 2; // shorter names occur within too many words of such scripts

/** @type {(names: string) => RegExp[]} */
const scripts = (names) => names.split(" ").map((name) => new RegExp(`\\p{Script=${name}}`, "u"));
const SPACELESS = scripts(WITHOUT_SPACES);
const SCRIPTS = [...SPACELESS, ...scripts(WITH_SPACES)];

/**
 * Where a text mentions a nick.
 * @param {string} text
 * @param {string} nick
 * @param {(text: string) => string} [folding] what is taken for the same
 * @param {number} [most] characters that are looked at
 * @returns {[number, number][]} the begin and end of each place, in order
 */
export function mentions(text, nick, folding = fold, most = SEARCHED) {
  text = [...text.slice(0, 2 * most)].slice(0, most).join("");
  const name = folding(nick);
  const plain = !/\p{Cf}/u.test(text) && !INVISIBLE.test(text);
  if (!name || (plain && !folding(text).includes(name))) return [];
  let folded = "";
  /** @type {Map<number, number>} */
  const starts = new Map();
  for (const [start, letter] of letters(text)) {
    starts.set(folded.length, start);
    folded += folding(letter);
  }
  starts.set(folded.length, text.length);
  /** @type {[number, number][]} */
  const found = [];
  for (let begin = folded.indexOf(name); begin >= 0; ) {
    const end = begin + name.length;
    const [first, last] = [starts.get(begin), starts.get(end)];
    // Not in the middle of a letter that stands for several, or has a mark.
    const whole = first !== undefined && last !== undefined && apart(folded, begin, end);
    if (whole) found.push([first, last]);
    begin = folded.indexOf(name, whole ? end : begin + 1);
  }
  return found;
}

/**
 * Each letter with its marks, without what is invisible, and where it begins.
 * @param {string} text
 * @returns {Iterable<[number, string]>}
 */
function* letters(text) {
  let begin = 0;
  let at = 0;
  /** @type {string[]} joined once: a letter may have ten thousand marks */
  let letter = [];
  for (const character of text) {
    if (letter.length && !continues(character)) {
      yield [begin, letter.join("")];
      [begin, letter] = [at, []];
    }
    if (!isInvisible(character)) letter.push(character);
    at += character.length;
  }
  if (text) yield [begin, letter.join("")];
}

/** @param {string} character @returns {boolean} whether it belongs to the letter before it */
function continues(character) {
  return character > "\x7f" && (/[\p{M}\u1160-\u11ff]/u.test(character) || isInvisible(character));
}

/** @param {string} character */
function isInvisible(character) {
  return /\p{Cf}/u.test(character) || INVISIBLE.test(character);
}

/**
 * Whether neither side of a name continues the word.
 * @param {string} text
 * @param {number} begin
 * @param {number} end
 */
function apart(text, begin, end) {
  const name = [...text.slice(begin, end)];
  const before = [...text.slice(Math.max(begin - 2, 0), begin)].at(-1) ?? "";
  const [after = ""] = text.slice(end, end + 2);
  return !joined(before, name[0], name.length) && !joined(after, name[name.length - 1], name.length);
}

/**
 * Whether the character beside a name is of one word with the name's own beside it.
 * @param {string} outside
 * @param {string} inside
 * @param {number} length of the name
 */
function joined(outside, inside, length) {
  if (!inWord(outside) || !inWord(inside)) return false;
  const [out, own] = [script(outside), script(inside)];
  const isLetter = /\p{L}/u.test(outside);
  if (isLetter && /\p{L}/u.test(inside) && out !== own) return false;
  if (isLetter && out >= 0 && out < SPACELESS.length) return length < SHORTEST_WITHOUT_SPACES;
  return true;
}

/** @param {string} character */
function inWord(character) {
  return /^[\p{M}\p{L}\p{N}_]/u.test(character);
}

/** @param {string} letter @returns {number} */
function script(letter) {
  return SCRIPTS.findIndex((each) => each.test(letter));
}
