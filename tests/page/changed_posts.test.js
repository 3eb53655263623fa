import assert from "node:assert/strict";
import { test } from "node:test";

import { Conversation, itemOf } from "../../geventchat/page/chat/conversation.js";

const post = (position, fields) => (
  { type: "post", room: "lobby", position, author: "Ann", time: position, text: `text ${position}`, ...fields }
);
const joined = (fields = {}) => (
  { type: "joined", room: "lobby", epoch: "e1", position: 0, oldest: 1, recovered: null, count: 1, ...fields }
);
const edited = (position, change, text) => ({ type: "edited", room: "lobby", position, change, text, by: "Ann" });
const redacted = (position, change) => ({ type: "redacted", room: "lobby", position, change, by: "Ann" });

/** A room with some posts. */
function room(from, to) {
  const made = new Conversation("room", "lobby");
  made.enter(joined());
  append(made, from, to);
  return made;
}

function append(room, from, to) {
  for (let position = from; position <= to; position++) room.append(post(position), itemOf(post(position), false));
}

function texts(room) {
  return room.items.map(({ text }) => text);
}

function page(from, to, fields) {
  const posts = Array.from({ length: to - from + 1 }, (_, i) => post(from + i, fields));
  return [posts, posts.map((each) => itemOf(each, false))];
}

test("of two states of a post the one with the higher change holds", () => {
  const lobby = room(1, 3);
  assert.equal(lobby.change(edited(2, 5, "second")).text, "second");
  assert.equal(lobby.change(edited(2, 4, "late")), undefined);
  assert.equal(lobby.change(edited(2, 5, "twice")), undefined);
  assert.deepEqual(texts(lobby), ["text 1", "second", "text 3"]);
  assert.ok(lobby.change(redacted(2, 6)).redacted);
  assert.deepEqual(texts(lobby), ["text 1", "", "text 3"]);
});

test("a post keeps what it is when its text changes", () => {
  const lobby = room(1, 1);
  const [item] = lobby.items;
  assert.equal(lobby.change(edited(1, 1, "new")), item);
  assert.deepEqual(
    { ...item }, { ...itemOf(post(1), false), text: "new", change: 1, redacted: false },
  );
});

test("posts that arrive changed are not changed back", () => {
  const lobby = room(1, 1);
  const late = post(2, { text: "", change: 7, redacted: true });
  lobby.append(late, itemOf(late, false));
  assert.equal(lobby.change(edited(2, 6, "resurrected")), undefined);
  assert.deepEqual(texts(lobby), ["text 1", ""]);
});

test("a post outside of the window is not changed, nor is a notice", () => {
  const lobby = room(10, 12);
  lobby.add({ kind: "notice", time: 0, text: "a notice", author: "", position: 0, own: false });
  for (const position of [0, 9, 13]) assert.equal(lobby.change(edited(position, 1, "x")), undefined);
  assert.deepEqual(texts(lobby), ["text 10", "text 11", "text 12", "a notice"]);
});

test("nothing below the oldest post of the server stays", () => {
  const lobby = room(1, 20);
  lobby.enter(joined({ position: 20, oldest: 15, recovered: true }));
  assert.deepEqual(texts(lobby), ["text 15", "text 16", "text 17", "text 18", "text 19", "text 20"]);
  assert.equal(lobby.first, 15);
  assert.ok(!lobby.hasOlder);
  lobby.enter(joined({ position: 40, oldest: 30, recovered: true }));
  assert.deepEqual(texts(lobby), []);
});

test("a window elsewhere shows no live posts until it is level with them", () => {
  const lobby = room(901, 1_000);
  const { window } = lobby;
  lobby.replace(...page(51, 150), false);
  assert.notEqual(lobby.window, window, "what was asked for the window before has no place");
  assert.deepEqual([lobby.first, lobby.last, lobby.newest], [51, 150, 1_000]);
  assert.ok(lobby.scrolledUp && lobby.hasOlder && !lobby.attached);
  append(lobby, 1_001, 1_010);
  assert.deepEqual([lobby.last, lobby.newest, lobby.items.length], [150, 1_010, 100]);
  while (!lobby.attached) {
    lobby.loadNewer(...page(lobby.last + 1, Math.min(lobby.last + 100, lobby.newest)));
    const positions = lobby.items.map(({ position }) => position);
    assert.ok(positions.every((position, i) => position === positions[0] + i));
  }
  append(lobby, 1_011, 1_011);
  assert.equal(lobby.items.at(-1).position, 1_011);
});

test("a window that ends with the newest post is live", () => {
  const lobby = room(901, 1_000);
  lobby.replace(...page(951, 1_000), false);
  assert.ok(lobby.attached);
  append(lobby, 1_001, 1_001);
  assert.equal(lobby.items.at(-1).position, 1_001);
});

test("thousands of changes a second are cheap in a full window", () => {
  const lobby = room(1, 2_900);
  const began = performance.now();
  for (let change = 1; change <= 5_000; change++) lobby.change(edited(1 + (change * 37) % 2_900, change, "new"));
  assert.ok(performance.now() - began < 5_000);
});
