/** Finds links in a text. Only http and https, and only what opens where it says it does. */

const LINK = /\bhttps?:\/\/[^\s<>"\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2060-\u206f]+/gi;
const LONGEST = 2_000;
const PAIRS = /** @type {Record<string, string>} */ ({ ")": "(", "]": "[", "}": "{" });

/**
 * @param {string} text
 * @returns {{begin: number, end: number, href: string}[]} in order
 */
export function links(text) {
  const found = [];
  for (const match of text.matchAll(LINK)) {
    const link = trimmed(match[0]);
    const href = address(link);
    if (href) found.push({ begin: match.index, end: match.index + link.length, href });
  }
  return found;
}

/** Without the punctuation of the sentence around it. @param {string} link */
function trimmed(link) {
  if (link.length > LONGEST) return link;
  /** @type {Record<string, number>} */
  const counts = {};
  for (const bracket of link.match(/[()[\]{}]/g) ?? []) counts[bracket] = (counts[bracket] ?? 0) + 1;
  let end = link.length;
  for (; end > 0; end--) {
    const last = link[end - 1];
    const closes = last in PAIRS && counts[last] > (counts[PAIRS[last]] ?? 0);
    if (!closes && !/[.,:;!?'*_~»”’]/.test(last)) break;
    if (closes) counts[last]--;
  }
  return link.slice(0, end);
}

/**
 * The address as the browser reads it; empty if it is none, or one that hides its host.
 * @param {string} link
 */
function address(link) {
  if (link.length > LONGEST) return "";
  try {
    const url = new URL(link);
    const safe = ["http:", "https:"].includes(url.protocol) && !url.username && !url.password;
    return safe && url.hostname ? url.href : "";
  } catch {
    return "";
  }
}
