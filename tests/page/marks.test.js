import assert from "node:assert/strict";
import { test } from "node:test";

globalThis.window = globalThis;
const { Marks } = await import("../../geventchat/page/chat/marks.js");
const { Store } = await import("../../geventchat/page/chat/store.js");

const WELCOME = {
  type: "welcome", version: 1, nick: "Ann", server: "s", features: ["marks"], ping_seconds: 30,
  limits: { frame_bytes: 1, rooms: 1, nick_length: 1 }, account: "a-of-ann",
};
const joined = (fields) => (
  { type: "joined", room: "lobby", epoch: "e1", position: 0, oldest: 1, recovered: null, count: 1, ...fields }
);
const post = (position, text = "hi", fields = {}) => (
  { type: "post", room: "lobby", position, author: "Bob", time: position, text, account: "a-of-bob", ...fields }
);

/** A store of an account that looks elsewhere, and its room. */
function signedIn(fields) {
  const store = new Store();
  store.attentive = false;
  store.hear(WELCOME);
  store.hear(joined(fields));
  return { store, room: store.rooms.get("lobby") };
}

/** A connection that keeps what it is asked. */
function asked() {
  const positions = [];
  const request = async (type, { position }) => positions.push(position);
  return { positions, connection: { request } };
}

function say(store, from, to, text) {
  for (let position = from; position <= to; position++) store.hear(post(position, text));
}

test("what the server has counted is unread after a reload, and counted once", () => {
  const { store, room } = signedIn({ position: 10, read: 4, unread: 5, mentions: 1 });
  assert.deepEqual([room.unread, room.mentions, room.line], [5, 1, 4]);
  say(store, 1, 10);
  assert.deepEqual([room.unread, room.mentions, room.line], [5, 1, 4]);
  say(store, 11, 12, "Ann?");
  assert.deepEqual([room.unread, room.mentions, room.line], [7, 3, 4]);
});

test("what another device has read is not unread here", () => {
  const { store, room } = signedIn({ position: 0, read: 0 });
  say(store, 1, 3, "Ann!");
  assert.deepEqual([room.unread, room.mentions], [3, 3]);
  store.hear({ type: "read", room: "lobby", position: 2, unread: 9, mentions: 9 });
  assert.deepEqual([room.unread, room.mentions, room.line], [1, 1, 2]);
  store.hear({ type: "read", room: "lobby", position: 1, unread: 2, mentions: 2 });
  assert.deepEqual([room.unread, room.read], [1, 2], "never backwards");
  store.hear({ type: "read", room: "lobby", position: 3 });
  assert.deepEqual([room.unread, room.mentioned, room.line], [0, false, null]);
});

test("what was read elsewhere while the connection was lost is not unread", () => {
  const { store, room } = signedIn({ position: 0, read: 0 });
  say(store, 1, 5);
  store.hear(joined({ position: 8, recovered: true, read: 7, unread: 1 }));
  assert.deepEqual([room.unread, room.read], [1, 7]);
  say(store, 6, 8);
  assert.deepEqual([room.unread, room.line], [1, 7]);
});

test("what was taken back is not unread when another device reads on", () => {
  const { store, room } = signedIn({ with: { nick: "Bob", account: "a-of-bob" }, read: 0 });
  say(store, 1, 3);
  store.hear({ type: "redacted", room: "lobby", position: 2, change: 1, by: "Bob" });
  store.hear({ type: "read", room: "lobby", position: 1, unread: 2, mentions: 0 });
  assert.equal(room.unread, 1);
});

test("an edit decides whether an unread post mentions the user", () => {
  const { store, room } = signedIn({ position: 0, read: 0 });
  say(store, 1, 2, "Ann!");
  say(store, 3, 3);
  const edit = (position, change, text) => (
    store.hear({ type: "edited", room: "lobby", position, change, text, by: "Bob" })
  );
  edit(1, 1, "Bob!");
  assert.equal(room.mentions, 1);
  edit(3, 2, "Ann!");
  edit(3, 2, "Ann!");
  assert.equal(room.mentions, 2);
  store.hear({ type: "redacted", room: "lobby", position: 2, change: 3, by: "Bob" });
  assert.deepEqual([room.unread, room.mentions, room.line], [3, 1, 0]);
});

test("what an ignored user has said is not unread after a reload", () => {
  const { store, room } = signedIn({ position: 3, read: 0, unread: 3, mentions: 1 });
  store.ignored.set("Bob", true);
  say(store, 1, 1, "Ann, hear me");
  store.hear(post(2, "hello", { author: "Cem" }));
  say(store, 3, 3);
  assert.deepEqual([room.unread, room.mentions], [1, 0]);
  store.ignored.set("Bob", false);
});

test("a message that was taken back is not unread in a conversation", () => {
  const { store, room } = signedIn({ with: { nick: "Bob", account: "a-of-bob" }, read: 0 });
  const { positions, connection } = asked();
  new Marks(store, connection);
  say(store, 1, 2);
  store.hear({ type: "redacted", room: "lobby", position: 1, change: 1, by: "Bob" });
  assert.equal(room.unread, 1);
  assert.deepEqual(positions, []);
  store.hear({ type: "redacted", room: "lobby", position: 2, change: 2, by: "Bob" });
  assert.equal(room.unread, 0);
  assert.deepEqual(positions, [2]); // else the server would go on counting it
});

test("a message that was taken back meanwhile is not unread after a reload", () => {
  const { store, room } = signedIn({ with: { nick: "Bob", account: "a-of-bob" }, position: 2, read: 0, unread: 2 });
  say(store, 1, 1);
  store.hear(post(2, "", { redacted: true, change: 1 }));
  assert.equal(room.unread, 1);
});

test("how far one has read is told at once, then once a second with the newest", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { store, room } = signedIn({ position: 0, read: 0 });
  const { positions, connection } = asked();
  const marks = new Marks(store, connection);
  store.current = room;
  store.see(room);
  say(store, 1, 3);
  store.see(room);
  assert.deepEqual(positions, [], "nobody looks");
  store.attentive = true;
  for (let position = 4; position <= 50; position++) {
    say(store, position, position);
    store.see(room);
  }
  assert.deepEqual(positions, [4]);
  t.mock.timers.tick(1_000);
  t.mock.timers.tick(1_000);
  assert.deepEqual(positions, [4, 50]);
  say(store, 51, 51);
  store.see(room);
  say(store, 52, 52);
  store.see(room);
  marks.flush();
  assert.deepEqual(positions, [4, 50, 51, 52]);
});

test("what the server has not heard before a loss is told after it", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { store, room } = signedIn({ position: 0, read: 0 });
  const { positions, connection } = asked();
  new Marks(store, connection);
  store.current = room;
  store.attentive = true;
  say(store, 1, 5);
  store.see(room);
  assert.deepEqual(positions, [5]);
  store.hear(joined({ position: 5, recovered: true, read: 2, unread: 3 }));
  t.mock.timers.tick(1_000);
  assert.deepEqual(positions, [5, 5]);
  assert.equal(room.unread, 0);
});

test("without an account nothing is told", () => {
  const store = new Store();
  const { positions, connection } = asked();
  new Marks(store, connection);
  store.hear({ ...WELCOME, account: undefined });
  store.hear(joined({}));
  const room = store.rooms.get("lobby");
  store.current = room;
  say(store, 1, 3);
  store.see(room);
  assert.equal(room.read, 3);
  assert.deepEqual(positions, []);
});
