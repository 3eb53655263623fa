import assert from "node:assert/strict";
import { test } from "node:test";

globalThis.window = globalThis; // saved values are in memory here
const { Store } = await import("../../geventchat/page/chat/store.js");
const { foldRoom } = await import("../../geventchat/page/text/names.js");

const ROOM = "@Xb81kQz0Tn4c";
const BOB = { nick: "Bob", account: "b0b" };
const joined = (room, fields = {}) => (
  { type: "joined", room, epoch: "e1", position: 0, oldest: 1, recovered: null, count: 2, ...fields }
);
const post = (room, position, author, fields = {}) => (
  { type: "post", room, position, author, time: position, text: `text ${position}`, ...fields }
);
const invited = { type: "invited", room: "plans", nick: "Ann", account: "a11", by: "Bob" };

/** Ann, signed in, in the lobby. */
function store({ account = "a11" } = {}) {
  const made = new Store();
  const limits = { frame_bytes: 65536, rooms: 128, nick_length: 32 };
  made.hear({
    type: "welcome", version: 1, nick: "Ann", server: "", features: ["accounts", "private"], ping_seconds: 30, limits, account,
  });
  made.hear(joined("lobby"));
  made.enter(made.room("lobby"));
  return made;
}

function texts(room) {
  return room.items.map(({ text }) => text);
}

test("a conversation opens beside what is read, under the nick of the other", () => {
  const made = store();
  made.hear(joined(ROOM, { with: BOB, private: true }));
  made.hear(post(ROOM, 1, "Bob", { account: "b0b" }));
  const room = made.room(ROOM);
  assert.equal(made.current.name, "lobby");
  assert.deepEqual(made.withOne, [room]);
  assert.deepEqual([room.title, room.isDirect, room.unread], ["Bob", true, 1]);
  assert.equal(made.all.at(-1), room);
});

test("a new message of a conversation calls the user, as a mention does", () => {
  const made = store();
  const alerts = [];
  made.listen((what, conversation, item) => what === "alert" && alerts.push([conversation.title, item.text]));
  made.hear(joined(ROOM, { with: BOB }));
  made.hear(post(ROOM, 1, "Bob", { account: "b0b" }));
  made.hear(post(ROOM, 2, "Ann", { account: "a11" }));
  assert.deepEqual(alerts, [["Bob", "text 1"]]);
});

test("a conversation goes on under the other's new nick", () => {
  const made = store();
  made.hear(joined(ROOM, { with: BOB }));
  made.hear({ type: "presence", room: "lobby", nick: "Bob", event: "rename", new_nick: "Rob", account: "b0b" });
  made.hear({ type: "presence", room: ROOM, nick: "Bob", event: "rename", new_nick: "Rob", account: "b0b" });
  assert.equal(made.room(ROOM).title, "Rob");
  assert.deepEqual(texts(made.room(ROOM)), ["Bob is now known as Rob."]);
  assert.equal(made.people.conversation("Rob"), made.room(ROOM));
});

test("what an account says on another device is the user's, and what others say under the nick is not", () => {
  const made = store();
  made.hear(post("lobby", 1, "Ann", { account: "a11" }));
  made.hear(post("lobby", 2, "Ann"));
  made.hear(post("lobby", 3, "Before", { account: "a11" }));
  assert.deepEqual(made.room("lobby").items.map(({ own }) => own), [true, false, true]);
  const guest = store({ account: "" });
  guest.hear(post("lobby", 1, "Ann", { account: "a11" }));
  guest.hear(post("lobby", 2, "Ann"));
  assert.deepEqual(guest.room("lobby").items.map(({ own }) => own), [false, true]);
});

test("an invitation is there until it is answered, withdrawn, or no longer told", () => {
  const made = store();
  const rooms = () => [...made.people.invitations.keys()];
  made.hear(invited);
  made.hear(invited);
  made.hear({ ...invited, room: "other", account: "b0b" }); // whom the user has invited
  assert.deepEqual(rooms(), ["plans"]);
  assert.equal(made.room("lobby").items.length, 1);
  made.hear(joined("plans", { private: true }));
  assert.deepEqual(rooms(), []);
  assert.equal(made.current.name, "lobby");
  made.hear({ ...invited, room: "x" });
  made.hear({ type: "left", room: "x", reason: "removed" });
  assert.deepEqual(rooms(), []);
  assert.equal(texts(made.room("lobby")).length, 2); // not removed from a room that one was never in
  made.hear({ ...invited, room: "y" });
  made.people.welcome({ features: [] });
  assert.deepEqual(rooms(), []);
});

test("who is removed from a room hears so, and who left it elsewhere does not", () => {
  const made = store();
  for (const reason of ["removed", "elsewhere"]) {
    made.hear(joined("plans", { private: true }));
    made.enter(made.room("plans"));
    made.hear({ type: "left", room: "plans", reason });
    assert.equal(made.room("plans"), undefined);
    assert.equal(made.current.name, "lobby");
  }
  assert.deepEqual(texts(made.current), ["You were removed from plans."]);
});

test("moderators are known, and told of once", () => {
  const made = store();
  made.hear(joined("plans", { private: true, moderator: true }));
  const room = made.room("plans");
  assert.equal(room.moderator, true);
  const told = { type: "moderators", room: "plans", moderators: [BOB] };
  made.hear({ ...told, id: "1" });
  made.hear(told);
  assert.deepEqual([room.moderator, [...room.moderators]], [false, ["Bob"]]);
  made.hear({ type: "presence", room: "plans", nick: "Bob", event: "rename", new_nick: "Rob", account: "b0b" });
  assert.deepEqual([...room.moderators], ["Rob"]);
  made.hear({ type: "muted", room: "plans", nick: "Ann", by: "Rob", on: true });
  made.hear({ type: "muted", room: "plans", nick: "Ann", by: "Rob", on: false });
  assert.deepEqual(texts(room), ["Moderators of plans: Bob", "Rob has muted Ann.", "Rob has unmuted Ann."]);
});

test("the name of a conversation is an id, and stays as it is", () => {
  assert.equal(foldRoom(ROOM), ROOM);
  assert.equal(foldRoom("Tea"), "tea");
});

test("a conversation that opens by itself is unread up to what the account has read", () => {
  for (const [marks, unread] of [[{}, 2], [{ read: 1, unread: 1 }, 1], [{ read: 2 }, 0]]) {
    const made = store();
    made.hear(joined(`${ROOM}${unread}`, { with: BOB, position: 2, ...marks }));
    for (const position of [1, 2]) made.hear(post(`${ROOM}${unread}`, position, "Bob", { account: "b0b" }));
    assert.equal(made.room(`${ROOM}${unread}`).unread, unread);
  }
});
