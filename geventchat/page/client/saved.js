/** What this browser keeps between visits, in localStorage; in memory alone where that is off. */

const PREFIX = "geventchat.";

/** Named, since a browser that allows none throws as soon as it is asked for one. @typedef {"localStorage" | "sessionStorage"} Place */

/** What could not be stored: kept until the tab is closed. @type {Map<string, string>} */
const memory = new Map();

/**
 * The value that was saved under a name.
 * @template T
 * @param {string} name
 * @param {T} otherwise where there is none, or none that can be read
 * @param {Place} [place] that of the browser, or of this tab alone
 * @returns {T}
 */
export function load(name, otherwise, place = "localStorage") {
  try {
    const text = memory.get(name) ?? globalThis[place].getItem(PREFIX + name);
    return JSON.parse(text ?? "null") ?? otherwise;
  } catch {
    return otherwise;
  }
}

/**
 * Save a value, or remove it with undefined.
 * @param {string} name
 * @param {unknown} value
 * @param {Place} [place]
 */
export function save(name, value, place = "localStorage") {
  const text = JSON.stringify(value ?? null);
  try {
    if (value === undefined) globalThis[place].removeItem(PREFIX + name);
    else globalThis[place].setItem(PREFIX + name, text);
    memory.delete(name);
  } catch {
    memory.set(name, text); // no space, or no storage: until the tab is closed
  }
}

/**
 * The names that begin with a prefix, in order.
 * @param {string} prefix
 * @returns {string[]}
 */
export function saved(prefix) {
  const names = new Set([...memory.keys()].filter((name) => memory.get(name) !== "null"));
  try {
    for (const key of Object.keys(localStorage)) {
      if (key.startsWith(PREFIX)) names.add(key.slice(PREFIX.length));
    }
  } catch {
    // no storage
  }
  return [...names].filter((name) => name.startsWith(prefix)).sort();
}

/**
 * A random string that cannot be guessed, in URL-safe base64.
 * @returns {string} 22 characters
 */
export function randomKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

/** What is not of the person who uses the browser now. */
const OF_THE_BROWSER = ["client", "session", "password", "notify", "sound"];

/** Forget all that was kept for another person. */
export function forget() {
  for (const name of saved("")) if (!OF_THE_BROWSER.includes(name)) save(name, undefined);
}

/** The secret id of this browser, the same in all its tabs; made on the first visit. */
export function clientId() {
  const known = load("client", "");
  if (/^[A-Za-z0-9_-]{16,64}$/.test(known)) return known;
  const id = randomKey();
  save("client", id);
  return id;
}
