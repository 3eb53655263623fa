/** What a search has found in a text: the place around it, and the words that are marked. */

import { mentions } from "./mentions.js";
import { fold } from "./names.js";
import { oneLine } from "./visible.js";

const SEARCHED_CHARACTERS = 4_000; // what is found only below is not marked
const BEFORE = 60; // characters that are shown above the first word
const SHOWN = 240;

/**
 * Words, or phrases in quotation marks, without what is around their letters.
 * @param {string} query
 * @returns {string[]}
 */
export function words(query) {
  const found = [...query.matchAll(/"([^"]*)"|[^\s"]+/g)].map(([all, phrase]) => phrase ?? all);
  const bare = found.map((word) => word.replace(/^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$/gu, ""));
  return [...new Set(bare)].filter(Boolean);
}

/**
 * The part of a text to show, in pieces.
 * @param {string} text
 * @param {string} query
 * @returns {{text: string, marked: boolean}[]} each safe to show
 */
export function excerpt(text, query) {
  const places = words(query).flatMap((word) => mentions(text, word, withoutAccents, SEARCHED_CHARACTERS));
  places.sort(([a], [b]) => a - b);
  const begin = Math.max((places[0]?.[0] ?? 0) - BEFORE, 0);
  const shown = text.slice(begin, begin + SHOWN);
  /** @type {{text: string, marked: boolean}[]} */
  const pieces = [];
  let done = begin;
  const add = (/** @type {number} */ end, /** @type {boolean} */ marked) => {
    if (end > done) pieces.push({ text: oneLine(text.slice(done, end)), marked });
    done = Math.max(done, end);
  };
  for (const [from, to] of places.filter(([, end]) => end <= begin + shown.length)) {
    add(from, false);
    add(to, true);
  }
  add(begin + shown.length, false);
  if (begin) pieces.unshift({ text: "…", marked: false });
  if (begin + shown.length < text.length) pieces.push({ text: "…", marked: false });
  return pieces;
}

/** @param {string} text */
function withoutAccents(text) {
  return fold(text.normalize("NFD").replace(/\p{M}/gu, ""));
}
