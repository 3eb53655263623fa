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
  const acts = isAction(item.text);
  const text = acts ? item.text.slice(ACTION.length) : item.text;
  const parts = pieces(text, item.own ? "" : nick);
  const body = element("div", { className: "text", dir: "auto" }, ...parts.map(drawn));
  const article = element("article", { tabIndex: -1 });
  if (parts.some(({ kind }) => kind === "mention")) article.classList.add("mentioned");
  if (item.own) article.classList.add("own");
  const author = element("button", { type: "button", className: "author", tabIndex: -1 }, isolated(item.author));
  paint(author, item.author);
  if (acts) {
    article.classList.add("action");
    body.prepend(element("span", { className: "actor" }, isolated(item.author)), " ");
  }
  const head = element("header", {}, author, clock(item.time));
  article.append(avatar(item.author), head, body);
  if (item.text.length > LONG_CHARACTERS || item.text.split("\n", LONG_LINES + 1).length > LONG_LINES) {
    article.append(shortened(body));
  }
  if (item.state) article.append(state(item));
  article.classList.toggle("sending", item.state === "sending");
  const more = { type: "button", className: "more", tabIndex: -1, "aria-label": "Message menu", "aria-haspopup": "menu" };
  article.append(element("button", more, icon(DOTS)));
  return article;
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

/** @param {HTMLElement} body */
function shortened(body) {
  body.classList.add("long");
  const more = element("button", { type: "button", className: "expand" }, "Show all");
  more.onclick = () => {
    const long = body.classList.toggle("long");
    more.textContent = long ? "Show all" : "Show less";
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
function clock(time) {
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

/** What a screen reader says of a new message. @param {Item} item */
export function spoken(item) {
  const acts = isAction(item.text);
  const text = visible(acts ? item.text.slice(ACTION.length) : item.text, "\n").slice(0, 500);
  return acts ? `${oneLine(item.author)} ${text}` : `${oneLine(item.author)}: ${text}`;
}
