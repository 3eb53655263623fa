/** Durations as people write them: `90s`, `10m`, `1h30m`, `2 weeks`. */

export const FORMS = "90s, 10m, 1h30m, 7d, 2w";

const MAX_SECONDS = 10 * 366 * 86_400; // ten years
const UNITS = /** @type {Record<string, number>} */ ({ s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 });
const PART =
  "\\d+(?:\\.\\d{1,2})?[ \\t]*" +
  "(?:s(?:ecs?|econds?)?|m(?:ins?|inutes?)?|h(?:rs?|ours?)?|d(?:ays?)?|w(?:ks?|eeks?)?)";

/** A regular expression for a duration at the begin of a text. */
export const PATTERN = `${PART}(?:[ \\t]*${PART})*(?!\\S)`;

/** What begins like a duration and is none must never be taken for the reason of a mute. */
const IN_WORDS =
  /^(?:until|till?|half|an?|one|two|three|four|five|six|seven|eight|nine|ten|twelve|fifteen|twenty|thirty|forty|fifty|sixty|ninety|few|couple)\b[\s-]*(?:of\s+)?(?:an?\s+)?(?:second|sec|minute|min|hour|day|night|week|month|year|decade|tomorrow|tonight|noon|midnight|morning|evening|monday|tuesday|wednesday|thursday|friday|saturday|sunday|\d)/;

/**
 * The whole seconds of a duration. Throws an Error with a sentence for people.
 * @param {string} text
 */
export function seconds(text) {
  const duration = text.normalize("NFKC").trim().toLowerCase();
  if (duration.length > 100 || !new RegExp(`^${PATTERN}$`).test(duration)) {
    throw new Error(`${shown(text)} is not a duration; write ${FORMS}.`);
  }
  let total = 0;
  for (const [, number, unit] of duration.matchAll(/([\d.]+)\s*([a-z])[a-z]*/g)) {
    total += Number(number) * UNITS[unit];
  }
  total = Math.round(total);
  if (!(total >= 1 && total <= MAX_SECONDS)) {
    throw new Error(`${shown(text)} is not between a second and ten years; write ${FORMS}.`);
  }
  return total;
}

/** @param {string} text @returns {boolean} whether its author may have meant a duration */
export function beginsLikeOne(text) {
  const start = text.slice(0, 100).normalize("NFKC").toLowerCase();
  const bare = start.replace(/^[^\p{L}\p{N}]*(?:for\s[^\p{L}\p{N}]*)?/u, "");
  return /^\p{N}/u.test(bare) || IN_WORDS.test(bare) || /^pt?\d+(?:\.\d+)?[ymwdhs]/.test(bare);
}

/** @param {string} text @returns {string} the begin of what is not understood, for an error */
export function shown(text) {
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}
