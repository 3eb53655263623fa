/** Nicks and room names: which are equal, as the server has it. */

export const LOBBY = "lobby";
export const GUEST = "guest-";

/** What shows nothing: fillers, joiners, blanks, variation selectors. */
export const INVISIBLE =
  /[\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0\u{16fe4}\u{1d159}\ufe00-\ufe0f\u{e0100}-\u{e01ef}]/u;

/**
 * The form in which equal names are identical.
 * @param {string} name
 */
export function fold(name) {
  // There is no casefold here: upper and back again is the same but for the dotless i.
  const same = name.normalize("NFKC").split("ı").map(foldCase).join("ı");
  return same.normalize("NFKC");
}

/** The form in which equal names of rooms are identical: a conversation's is an id, and stays as it is. @param {string} name */
export function foldRoom(name) {
  return name.startsWith("@") ? name : fold(name);
}

/** @param {string} text */
function foldCase(text) {
  return text.toLowerCase().toUpperCase().toLowerCase().replaceAll("ς", "σ");
}

/** @param {string} a @param {string} b */
export function compare(a, b) {
  return fold(a).localeCompare(fold(b));
}
