/** Cuts the text of a message into pieces: plain text, links, code, mentions. No markup, no DOM. */

import { links } from "./links.js";
import { mentions } from "./mentions.js";
import { ENDS, visible } from "./visible.js";

/** What a text begins with that says what its author does, as in XEP-0245. */
export const ACTION = "/me ";

/** A block between lines of three backticks, or such a block within one line; code between single ones. */
const CODE = /```(?:[\w+#.-]*\r?\n)?([^]*?)```|`([^`\r\n]+)`/g;
const MOST_LINKS = 200;

/** @typedef {{kind: "text" | "code" | "block" | "mention", text: string} | {kind: "link", text: string, href: string}} Piece */

/**
 * @param {string} text of a message, without its `/me `
 * @param {string} nick whose mentions are marked; empty: nobody's
 * @returns {Piece[]} whose texts are safe to show
 */
export function pieces(text, nick) {
  const whole = text.replace(ENDS, "").replaceAll("\r\n", "\n");
  /** @type {Piece[]} */
  const found = [];
  let done = 0;
  for (const match of whole.matchAll(CODE)) {
    const [all, block, code] = match;
    if (block !== undefined ? !block.trim() : !code.trim()) continue;
    found.push(...linked(whole.slice(done, match.index), nick));
    done = match.index + all.length;
    found.push(block === undefined ? piece("code", code) : piece("block", unframed(block)));
    if (block !== undefined && whole[done] === "\n") done++;
  }
  found.push(...linked(whole.slice(done), nick));
  return found.map((each, i) => (found[i + 1]?.kind === "block" ? withoutLastBreak(each) : each));
}

/** @param {string} text @returns {boolean} whether it says what its author does */
export function isAction(text) {
  return text.startsWith(ACTION);
}

/** @param {string} text @param {string} nick @returns {Piece[]} */
function linked(text, nick) {
  /** @type {Piece[]} */
  const found = [];
  let done = 0;
  for (const { begin, end, href } of links(text).slice(0, MOST_LINKS)) {
    found.push(...named(text.slice(done, begin), nick));
    found.push({ kind: "link", text: visible(text.slice(begin, end)), href });
    done = end;
  }
  return [...found, ...named(text.slice(done), nick)];
}

/** @param {string} text @param {string} nick @returns {Piece[]} */
function named(text, nick) {
  /** @type {Piece[]} */
  const found = [];
  let done = 0;
  for (const [begin, end] of nick ? mentions(text, nick) : []) {
    if (begin > done) found.push(piece("text", text.slice(done, begin)));
    found.push(piece("mention", text.slice(begin, end)));
    done = end;
  }
  if (done < text.length) found.push(piece("text", text.slice(done)));
  return found;
}

/** @param {"text" | "code" | "block" | "mention"} kind @param {string} text @returns {Piece} */
function piece(kind, text) {
  return { kind, text: visible(text, "\n\t") };
}

/** @param {string} block */
function unframed(block) {
  return block.replace(/^\r?\n|\r?\n$/g, "");
}

/** @param {Piece} piece @returns {Piece} */
function withoutLastBreak(piece) {
  return piece.kind === "text" ? { ...piece, text: piece.text.replace(/\n$/, "") } : piece;
}
