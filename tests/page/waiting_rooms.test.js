import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

const LOBBY = { type: "joined", room: "lobby", epoch: "e", position: 1, oldest: 1, count: 1 };
const AWAY = { type: "error", code: "storage", text: "The database is busy.", room: "lobby" };

// The server's end of the page's only WebSocket.
class Socket {
  static OPEN = 1;
  static last;
  readyState = Socket.OPEN;
  sent = [];

  constructor() {
    Socket.last = this;
  }

  send(data) {
    this.sent.push(JSON.parse(data));
  }

  close() {}

  tell(...events) {
    for (const event of events) this.onmessage({ data: JSON.stringify(event) });
  }
}

globalThis.window = globalThis;
globalThis.WebSocket = Socket;
globalThis.localStorage = { getItem: () => null, setItem: () => {}, removeItem: () => {} };
const { Connection } = await import("../../geventchat/page/client/connection.js");
const { PendingSays } = await import("../../geventchat/page/client/pending_says.js");

let heard, connection, server;

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  mock.method(Math, "random", () => 0); // the longest pauses
  heard = [];
  connection = new Connection("ws://x", "client", new PendingSays(), (event) => heard.push(event));
  connection.open({}, ["lobby"]);
  welcome();
});

afterEach(() => {
  connection.abandon();
  mock.timers.reset();
  mock.restoreAll();
});

function welcome() {
  server = Socket.last;
  server.onopen();
  const { nonce } = server.sent.pop();
  const limits = { frame_bytes: 65_536, rooms: 128, nick_length: 32 };
  server.tell({ type: "welcome", nonce, nick: "ann", ping_seconds: 30, features: [], limits });
  heard.length = 0;
}

const joins = () => server.sent.filter(({ type }) => type === "join");

test("a room that hello refused with storage is joined from where it was read", () => {
  server.tell(LOBBY, { type: "post", room: "lobby", position: 1, text: "hi", author: "bob" });
  heard.length = 0;
  server.onclose();
  mock.timers.tick(1_000);
  welcome();
  server.tell(AWAY);
  assert.deepEqual(heard, [{ type: "waiting", room: "lobby", why: AWAY.text }]);
  mock.timers.tick(1_000);
  assert.deepEqual(joins(), [{ type: "join", room: "lobby", epoch: "e", position: 1 }]);
  server.tell(AWAY);
  mock.timers.tick(1_999);
  assert.equal(joins().length, 1);
  mock.timers.tick(1);
  assert.equal(joins().length, 2);
  assert.equal(heard.length, 1); // the user knows
  server.tell({ ...LOBBY, recovered: true });
  assert.equal(connection.isIn("lobby"), true);
  mock.timers.tick(6_000);
  assert.equal(joins().length, 2);
});

test("the pause doubles from 1 s to 30 s", () => {
  server.tell(AWAY);
  for (const seconds of [1, 2, 4, 8, 16, 30, 30, 30]) {
    server.tell({ type: "ping" }); // else the silence is noticed
    const before = joins().length;
    mock.timers.tick(seconds * 1000 - 1);
    assert.equal(joins().length, before);
    mock.timers.tick(1);
    assert.equal(joins().length, before + 1);
    server.tell(AWAY);
  }
});

test("another answer ends it, and is told", () => {
  server.tell(AWAY);
  mock.timers.tick(1_000);
  const refusal = { type: "error", code: "forbidden", text: "No.", room: "lobby" };
  server.tell(refusal);
  assert.deepEqual(heard.slice(1), [refusal]);
  mock.timers.tick(6_000);
  assert.equal(joins().length, 1);
});

test("a user can leave a room that waits", async () => {
  server.tell(AWAY);
  const leaving = connection.leave("lobby");
  const { id } = server.sent.at(-1);
  server.tell({ type: "error", code: "not_joined", text: "Not in it.", room: "lobby", id });
  await leaving;
  assert.deepEqual(heard.at(-1), { type: "left", room: "lobby" });
  assert.deepEqual(connection.cursors.resume(), {});
  mock.timers.tick(6_000);
  assert.equal(joins().length, 0);
});

test("to leave a room that one is not in is refused", async () => {
  const leaving = connection.leave("tea");
  const { id } = server.sent.at(-1);
  server.tell({ type: "error", code: "not_joined", text: "Not in it.", id });
  await assert.rejects(leaving, { message: "Not in it." });
});

test("nothing is asked for over a connection that is gone", () => {
  server.tell(AWAY);
  const former = server;
  server.onclose();
  mock.timers.tick(5_000);
  assert.deepEqual(former.sent.filter(({ type }) => type === "join"), []);
});
