import assert from "node:assert/strict";
import { test } from "node:test";

import { Conversation, itemOf } from "../../geventchat/page/chat/conversation.js";

const post = (position, text = `text ${position}`) => (
  { type: "post", room: "lobby", position, author: "Ann", time: position, text }
);
const joined = (fields = {}) => (
  { type: "joined", room: "lobby", epoch: "e1", position: 0, oldest: 1, recovered: null, count: 1, ...fields }
);

function append(room, from, to, text) {
  for (let position = from; position <= to; position++) {
    const each = post(position, text);
    room.append(each, itemOf(each, false));
  }
}

/** A page of the history before a position. */
function history(before, limit = 100) {
  const from = Math.max(before - limit, 1);
  return Array.from({ length: before - from }, (_, i) => post(from + i));
}

function older(room) {
  const posts = history(room.first);
  room.loadOlder(posts, posts.map((each) => itemOf(each, false)), posts[0].position === 1);
}

/** The positions of a room are consecutive, and what it says of them is true. */
function check(room) {
  const positions = room.items.map((item) => item.position);
  for (const [i, position] of positions.entries()) assert.equal(position, positions[0] + i);
  assert.equal(room.first, positions[0]);
  assert.equal(room.last, positions.at(-1));
}

function room() {
  const made = new Conversation("room", "lobby");
  made.enter(joined());
  return made;
}

test("a hundred thousand posts leave a window of the newest", () => {
  const lobby = room();
  append(lobby, 1, 100_000);
  check(lobby);
  assert.ok(lobby.items.length <= 3_000);
  assert.ok(lobby.attached && lobby.hasOlder);
});

test("long texts are counted by their characters", () => {
  const lobby = room();
  append(lobby, 1, 1_000, "x".repeat(60_000));
  check(lobby);
  assert.ok(lobby.items.length < 100);
});

test("reading up to the beginning and down again keeps the order", () => {
  const lobby = room();
  append(lobby, 1, 10_000);
  lobby.scrolledUp = true;
  while (lobby.hasOlder) {
    older(lobby);
    check(lobby);
  }
  assert.equal(lobby.first, 1);
  assert.ok(lobby.complete && !lobby.attached);
  append(lobby, 10_001, 10_010); // not shown: there is a hole below the window
  check(lobby);
  lobby.scrolledUp = false;
  while (!lobby.attached) {
    const before = Math.min(lobby.last + 100, lobby.newest) + 1;
    const posts = history(before, before - lobby.last - 1);
    lobby.loadNewer(posts, posts.map((each) => itemOf(each, false)));
    check(lobby);
  }
  assert.equal(lobby.last, 10_010);
  append(lobby, 10_011, 10_011);
  check(lobby);
});

test("a reader above the end is not pushed away by what arrives", () => {
  const lobby = room();
  append(lobby, 1, 100);
  lobby.scrolledUp = true;
  append(lobby, 101, 20_000);
  check(lobby);
  assert.equal(lobby.first, 1);
  assert.ok(lobby.items.length <= 3_000 && !lobby.attached);
});

test("what may have changed unnoticed is forgotten, and a gap says so once", () => {
  const lobby = room();
  append(lobby, 1, 10);
  lobby.break();
  lobby.break();
  lobby.enter(joined({ epoch: "e2", position: 2, recovered: false }));
  append(lobby, 1, 2);
  assert.deepEqual(lobby.items.map(({ kind, position }) => [kind, position]), [["gap", 0], ["post", 1], ["post", 2]]);
  assert.ok(!lobby.hasOlder && lobby.attached);
});

test("what is stored above a gap is loaded, and then there is none", () => {
  const lobby = room();
  append(lobby, 1, 300);
  lobby.break();
  lobby.enter(joined({ position: 400, recovered: false }));
  append(lobby, 351, 400);
  assert.ok(lobby.hasOlder);
  older(lobby);
  check(lobby);
});

test("what was dropped is loaded again from the newest", () => {
  const lobby = room();
  append(lobby, 1, 500);
  lobby.clear();
  assert.ok(lobby.hasOlder && !lobby.attached);
  const posts = history(501);
  lobby.loadOlder(posts, posts.map((each) => itemOf(each, false)), false);
  check(lobby);
  assert.ok(lobby.attached);
});
