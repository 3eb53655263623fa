/** What of a room is unread, as far as the server says it: it keeps a mark for each account. */

/** @import {Joined, Read} from "../protocol" */
/** @import {Conversation} from "./conversation.js" */

const FRESH = 50; // posts that a new join replays at most

/**
 * A room was joined anew, and its newest posts follow.
 * @param {Conversation} room
 * @param {Joined} joined
 * @param {number | null} known up to where this browser knows that it was read
 */
export function begin(room, { position, recovered, read, unread, mentions }, known) {
  room.read = read ?? known ?? (room.with ? 0 : position); // a conversation opens for what is new in it
  room.replayed = recovered === null ? position : 0;
  room.counted = read === undefined ? 0 : position;
  room.unread = unread ?? (read === undefined ? Math.max(position - FRESH - room.read, 0) : 0);
  room.mentions = mentions ?? 0;
  if (room.read < position) room.line = room.read;
}

/**
 * A room goes on where it was, and what was missed follows; some of it may be read elsewhere.
 * @param {Conversation} room
 * @param {Joined} joined
 */
export function resume(room, { position, read, unread = 0, mentions = 0 }) {
  if (read === undefined || read < room.read) return; // the server has yet to hear how far it was
  Object.assign(room, { read, unread, mentions, counted: position });
}

/**
 * The account has read on.
 * @param {Conversation} room
 * @param {Read} event
 * @param {(text: string) => boolean} mentions whether a text mentions the user
 * @returns {boolean} whether that is news
 */
export function saw(room, { position, unread = 0, mentions: mentioned = 0 }, mentions) {
  room.mark = Math.max(room.mark ?? 0, position);
  if (position <= room.read) return false;
  room.read = position;
  // What is shown is counted here: some of it may have arrived after the server has counted.
  const isShown = room.attached && room.first > 0 && room.first <= position + 1;
  const news = room.items.filter((item) => item.position > position && !item.own && !(room.with && item.redacted));
  room.unread = isShown ? news.length : unread;
  room.mentions = isShown ? news.filter(({ text }) => mentions(text)).length : mentioned;
  return true;
}
