import assert from "node:assert/strict";
import { test } from "node:test";

globalThis.window = globalThis; // saved values are in memory here
const { Store } = await import("../../geventchat/page/chat/store.js");

const LIMITS = { frame_bytes: 65536, rooms: 128, nick_length: 32 };
const JOINED = { type: "joined", room: "lobby", epoch: "e1", position: 0, oldest: 1, recovered: null, count: 2 };

/** Ann in the lobby, and the texts of what arrives there while she listens. */
function listening() {
  const store = new Store();
  store.hear({ type: "welcome", version: 1, nick: "Ann", server: "", features: [], ping_seconds: 30, limits: LIMITS });
  store.hear(JOINED);
  store.enter(store.room("lobby"));
  const arrived = [];
  store.listen((what, conversation, item) => {
    if (what === "log" && item && conversation === store.current) arrived.push(item.text);
  });
  return { store, arrived };
}

function say(store, position, author) {
  store.hear({ type: "post", room: "lobby", position, author, time: position, text: `${author} says` });
}

test("what an ignored user says is not read aloud", () => {
  const { store, arrived } = listening();
  store.ignore("Bob", true);
  say(store, 1, "Bob");
  say(store, 2, "Cem");
  assert.deepEqual(arrived, ["Cem says"]);
});

test("a notice is read aloud, as a message is", () => {
  const { store, arrived } = listening();
  store.notice("lobby: Ann, Bob");
  store.notice("Only operators can set the topic.", true);
  assert.deepEqual(arrived, ["lobby: Ann, Bob", "Only operators can set the topic."]);
});
