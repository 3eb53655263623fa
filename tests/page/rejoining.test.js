import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

globalThis.window = globalThis;
const { Rejoining } = await import("../../geventchat/page/client/rejoining.js");

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout"] });
  mock.method(Math, "random", () => 0); // the longest pauses
});

afterEach(() => {
  mock.timers.reset();
  mock.restoreAll();
});

test("a room is asked for after pauses that double from 1 s to 30 s", () => {
  const asked = [];
  const rejoining = new Rejoining((room) => asked.push(room));
  for (const seconds of [1, 2, 4, 8, 16, 30, 30, 30]) {
    const before = asked.length;
    rejoining.refused("lobby");
    mock.timers.tick(seconds * 1000 - 1);
    assert.equal(asked.length, before);
    mock.timers.tick(1);
    assert.equal(asked.length, before + 1);
  }
  assert.deepEqual([...new Set(asked)], ["lobby"]);
});

test("it says once that a room waits, and begins anew after it was joined", () => {
  const asked = [];
  const rejoining = new Rejoining((room) => asked.push(room));
  assert.equal(rejoining.refused("lobby"), false);
  assert.equal(rejoining.refused("lobby"), true);
  assert.equal(rejoining.forget("lobby"), true);
  assert.equal(rejoining.forget("lobby"), false);
  assert.equal(rejoining.refused("lobby"), false);
  mock.timers.tick(1_000);
  assert.deepEqual(asked, ["lobby"]);
});

test("each room has its own pause, and none is asked for when the connection has ended", () => {
  const asked = [];
  const rejoining = new Rejoining((room) => asked.push(room));
  rejoining.refused("lobby");
  rejoining.refused("lobby");
  rejoining.refused("tea");
  mock.timers.tick(1_000);
  assert.deepEqual(asked, ["tea"]);
  rejoining.clear();
  mock.timers.tick(60_000);
  assert.deepEqual(asked, ["tea"]);
  assert.equal(rejoining.has("lobby"), false);
});
