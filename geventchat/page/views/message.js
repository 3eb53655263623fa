/** One row of the log: a message, a notice, a day, the unread line, a gap. */

import { isAction, ACTION, pieces } from "../text/text.js";
import { oneLine, visible } from "../text/visible.js";
import { avatar, element, icon, isolated, paint } from "./elements.js";

/** @import {Item} from "../chat/conversation.js" */
/** @import {Piece} from "../text/text.js" */

const LONG_CHARACTERS = 3_000;
const LONG_LINES = 40;
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const EXACT = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long", year: "numeric" });
const DOTS = "M4.5 10h.01M10 10h.01M15.5 10h.01";

/** @param {Item} item @param {string} nick of the user @returns {HTMLElement} */
export function row(item, nick) {
  if (item.kind === "gap") return separator("gap", "Some messages may be missing here.");
  if (item.kind === "notice") {
    return element("p", { className: item.error ? "notice error" : "notice" }, isolated(item.text));
  }
  return message(item, nick);
}

/** @param {Item} item @param {string} nick */
function message(item, nick) {
  const article = element("article", { tabIndex: -1 });
  const author = element("button", { type: "button", className: "author", tabIndex: -1 }, isolated(item.author));
  paint(author, item.author);
  const body = element("div", { className: "text", dir: "auto" });
  article.append(avatar(item.author), element("header", {}, author, ...hookMark(item.hook), clock(item.time)), body);
  const short = shortened(item.text);
  if (item.redacted) body.append(element("em", {}, "This message was taken back."));
  else fill(article, body, { ...item, text: short }, nick);
  if (short !== item.text) article.append(expander(body, (text) => fill(article, body, { ...item, text }, nick), item.text, short));
  if (item.state) article.append(state(item));
  article.classList.toggle("sending", item.state === "sending");
  article.classList.toggle("own", item.own);
  article.classList.toggle("gone", item.redacted ?? false);
  const more = { type: "button", className: "more", tabIndex: -1, "aria-label": "Message menu", "aria-haspopup": "menu" };
  article.append(element("button", more, icon(DOTS)));
  return article;
}

/** What shows that a webhook has said it, whatever its author is called. @param {boolean} [hook] */
export function hookMark(hook) {
  return hook ? [element("small", { className: "hook", title: "Posted by a program" }, "hook")] : [];
}

/** @param {HTMLElement} article @param {HTMLElement} body @param {Item} item @param {string} nick */
function fill(article, body, { author, own, text, change }, nick) {
  const acts = isAction(text);
  const parts = pieces(acts ? text.slice(ACTION.length) : text, own ? "" : nick);
  body.replaceChildren(...parts.map(drawn));
  if (acts) body.prepend(element("span", { className: "actor" }, isolated(author)), " ");
  if (change) body.append(" ", element("small", {}, "(edited)"));
  article.classList.toggle("action", acts);
  article.classList.toggle("mentioned", parts.some(({ kind }) => kind === "mention"));
}

/** @param {Piece} piece @returns {Node | string} */
function drawn(piece) {
  switch (piece.kind) {
    case "link":
      return element("a", {
        href: piece.href, title: piece.href, target: "_blank", rel: "noopener noreferrer", textContent: piece.text,
      });
    case "mention":
      return element("mark", {}, piece.text);
    case "code":
      return element("code", { dir: "ltr" }, piece.text);
    case "block":
      return element("pre", { dir: "ltr" }, element("code", {}, piece.text));
    default:
      return piece.text;
  }
}

/** The begin of a long text: drawing all of it costs time, and nobody may want to read it. @param {string} text */
function shortened(text) {
  const lines = text.split("\n", LONG_LINES + 1);
  const short = lines.length > LONG_LINES ? lines.slice(0, LONG_LINES).join("\n") : text;
  return short.slice(0, LONG_CHARACTERS).replace(/[\ud800-\udbff]$/, ""); // no half of a character
}

/**
 * @param {HTMLElement} body
 * @param {(text: string) => void} draw
 * @param {string} all
 * @param {string} short
 */
function expander(body, draw, all, short) {
  body.classList.add("long");
  const more = element("button", { type: "button", className: "expand" }, "Show all");
  more.onclick = () => {
    const isLong = body.classList.toggle("long");
    draw(isLong ? short : all);
    more.textContent = isLong ? "Show all" : "Show less";
  };
  return more;
}

/** @param {Item} item */
function state(item) {
  if (item.state === "sending") return element("p", { className: "state" }, "Sending…");
  return element(
    "p",
    { className: "state error" },
    `Not sent. ${visible(item.error ?? "")} `,
    element("button", { type: "button", className: "again" }, "Try again"),
    element("button", { type: "button", className: "discard" }, "Discard"),
  );
}

/** @param {number} time */
export function clock(time) {
  const date = new Date(time);
  const valid = !Number.isNaN(date.getTime());
  return element("time", {
    dateTime: valid ? date.toISOString() : "",
    title: valid ? EXACT.format(date) : "",
    textContent: valid ? CLOCK.format(date) : "",
  });
}

/** @param {string} kind @param {string} text @returns {HTMLElement} a line with a title */
export function separator(kind, text) {
  return element("div", { className: `separator ${kind}`, role: "separator", "aria-label": text }, element("span", {}, text));
}

/** The title of a day. @param {number} time */
export function day(time) {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return "";
  const today = new Date();
  if (date.toDateString() === today.toDateString()) return "Today";
  today.setDate(today.getDate() - 1);
  return date.toDateString() === today.toDateString() ? "Yesterday" : DAY.format(date);
}

/** What a screen reader says of a new message, or of a notice. @param {Item} item */
export function spoken(item) {
  if (item.kind === "notice") return oneLine(item.text);
  const acts = isAction(item.text);
  const text = visible(acts ? item.text.slice(ACTION.length) : item.text, "\n").slice(0, 500);
  const author = `${item.hook ? "hook " : ""}${oneLine(item.author)}`;
  return acts ? `${author} ${text}` : `${author}: ${text}`;
}
