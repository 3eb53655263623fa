/**
 * Text of others made harmless: what acts on the text around it is spelt out.
 *
 * Invisible characters without which a script cannot be read stay: joiners, and the direction marks
 * of right-to-left scripts. The same rules as geventchat/protocol/visible.py.
 */

const ACTING =
  /[\0-\x1f\x7f-\x9f\u180e\u200b\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

/** Where such characters belong to the script: a region's flag, Thai to Khmer, Mongolian. */
const IN_PLACE =
  /(\u{1f3f4}[\u{e0030}-\u{e0039}\u{e0061}-\u{e007a}]{3,6}\u{e007f}|(?<=[\u0e00-\u109f\u1780-\u17ff])\u200b(?=[\u0e00-\u109f\u1780-\u17ff])|(?<=[\u1820-\u18aa])\u180e(?=[\u1820-\u18aa]))/u;

/** The line breaks at the end of a text. Looked for from the first of a run alone: a text may have very many. */
export const ENDS = /(?<![\r\n])[\r\n]+$/;

const SHORT = /** @type {Record<string, string>} */ ({ "\n": "\\n", "\r": "\\r", "\t": "\\t" });

/**
 * Spell out what acts: ESC becomes `\x1b`.
 * @param {string} text
 * @param {string} [keep] characters that stay, such as line breaks
 */
export function visible(text, keep = "") {
  if (text.search(ACTING) < 0) return text;
  return text
    .split(IN_PLACE)
    .map((part, i) => (i % 2 ? part : part.replace(ACTING, (c) => (keep.includes(c) ? c : spell(c)))))
    .join("");
}

/** A text for one line: without the line breaks at its end. @param {string} text */
export function oneLine(text) {
  return visible(text.replace(ENDS, ""));
}

/** @param {string} character */
function spell(character) {
  if (character in SHORT) return SHORT[character];
  const point = character.codePointAt(0) ?? 0;
  const hex = point.toString(16);
  if (point <= 0xff) return `\\x${hex.padStart(2, "0")}`;
  return point <= 0xffff ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
}
