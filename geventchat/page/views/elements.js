/** Making and finding elements. Texts are set as text alone: nothing here reads markup. */

import { fold } from "../text/names.js";
import { oneLine } from "../text/visible.js";

const HUES = 24;
const GRAPHEMES = new Intl.Segmenter();

/**
 * The element of the page with an id.
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @returns {T}
 */
export function byId(id) {
  return /** @type {T} */ (document.getElementById(id));
}

/**
 * Make an element.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Partial<Record<string, unknown>>} properties of the element; `aria-…`, `role` and `data-…` as attributes
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === false) continue;
    if (name.includes("-") || name === "role") made.setAttribute(name, String(value));
    else Object.assign(made, { [name]: value });
  }
  made.append(...children);
  return made;
}

/** A name or another short text of somebody, isolated from what is around it. @param {string} text */
export function isolated(text) {
  return element("bdi", { textContent: oneLine(text) });
}

/** A tile with the first letter of a nick. @param {string} nick @param {HTMLElement} [tile] */
export function avatar(nick, tile = element("span", { className: "avatar", "aria-hidden": "true" })) {
  const [first] = GRAPHEMES.segment(nick.slice(0, 40));
  tile.dataset.letter = oneLine(first?.segment ?? "").toLocaleUpperCase(); // shown, but no text
  paint(tile, nick);
  return tile;
}

/** Give an element the colour of a nick, the same everywhere. @param {HTMLElement} painted @param {string} nick */
export function paint(painted, nick) {
  let hash = 0;
  for (const character of fold(nick)) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  const hue = ((hash ^ (hash >>> 13)) >>> 0) % HUES;
  painted.style.setProperty("--hue", String(hue * (360 / HUES)));
}

export const CROSS = "M6 6l8 8M14 6l-8 8";
export const LOCK = "M6.5 9V6.5a3.5 3.5 0 0 1 7 0V9M5 9h10v7H5z";
const SVG = "http://www.w3.org/2000/svg";

/** A small drawing of lines. @param {string} path */
export function icon(path) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}
