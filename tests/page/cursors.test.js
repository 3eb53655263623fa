import assert from "node:assert/strict";
import { test } from "node:test";

import { Cursors } from "../../geventchat/page/client/cursors.js";

const joined = (fields) => (
  { type: "joined", room: "lobby", epoch: "e1", position: 0, oldest: 1, recovered: null, count: 1, ...fields }
);

test("a new join resumes from the last post", () => {
  const cursors = new Cursors();
  cursors.ask("lobby");
  assert.deepEqual(cursors.resume(), { lobby: null });
  cursors.joined(joined({ position: 60 }));
  for (let position = 11; position <= 60; position++) assert.ok(cursors.post("lobby", position));
  assert.deepEqual(cursors.resume(), { lobby: { epoch: "e1", position: 60 } });
});

test("a join that is lost before its first post resumes where its replay begins", () => {
  const cursors = new Cursors();
  cursors.joined(joined({ position: 60 }));
  assert.deepEqual(cursors.resume(), { lobby: { epoch: "e1", position: 10 } });
  cursors.joined(joined({ position: 61, recovered: true }));
  assert.ok(cursors.post("lobby", 11));
});

test("an empty room resumes at its beginning", () => {
  const cursors = new Cursors();
  cursors.joined(joined({}));
  assert.deepEqual(cursors.resume(), { lobby: { epoch: "e1", position: 0 } });
  assert.ok(cursors.post("lobby", 1));
});

test("a post that is not the next one is noticed", () => {
  const cursors = new Cursors();
  assert.ok(!cursors.post("lobby", 1), "of a room that was not joined");
  cursors.joined(joined({ position: 5 }));
  assert.ok(cursors.post("lobby", 5));
  assert.ok(!cursors.post("lobby", 5), "twice");
  assert.ok(!cursors.post("lobby", 7), "a hole");
  assert.ok(cursors.post("lobby", 6));
});

test("after a loss the replay begins wherever the server chooses", () => {
  const cursors = new Cursors();
  cursors.joined(joined({ position: 5 }));
  assert.ok(cursors.post("lobby", 5));
  cursors.joined(joined({ position: 900, oldest: 700, recovered: false }));
  assert.ok(cursors.post("lobby", 851));
  assert.ok(cursors.post("lobby", 852));
});

test("a join of a room that one is in changes nothing", () => {
  const cursors = new Cursors();
  cursors.joined(joined({ position: 5 }));
  assert.ok(cursors.post("lobby", 5));
  cursors.joined(joined({ position: 5 }));
  assert.ok(cursors.post("lobby", 6));
});

test("a room that was left is not resumed", () => {
  const cursors = new Cursors();
  cursors.joined(joined({ position: 5 }));
  cursors.leave("lobby");
  assert.deepEqual(cursors.resume(), {});
});

test("the highest change that was heard is where changes go on", () => {
  const cursors = new Cursors();
  cursors.joined(joined({ position: 1, change: 4 }));
  assert.deepEqual(cursors.resume(), { lobby: { epoch: "e1", position: 0, change: 4 } });
  cursors.post("lobby", 1);
  assert.deepEqual(cursors.resume(), { lobby: { epoch: "e1", position: 1, change: 4 } });
  for (const change of [5, 7, 6]) cursors.changed("lobby", change);
  cursors.post("lobby", 2);
  assert.deepEqual(cursors.resume(), { lobby: { epoch: "e1", position: 2, change: 7 } });
  cursors.joined(joined({ position: 3, change: 9, recovered: true }));
  assert.deepEqual(cursors.resume(), { lobby: { epoch: "e1", position: 2, change: 7 } }, "those are to come");
});
