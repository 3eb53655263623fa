import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

// What a browser has, as far as the page uses it: a Map of strings with a limit.
class Storage {
  static most = Infinity;

  getItem(name) {
    return Object.hasOwn(this, name) ? this[name] : null;
  }

  setItem(name, text) {
    const used = Object.values(this).reduce((sum, each) => sum + each.length, 0);
    if (used + text.length > Storage.most) throw new Error("QuotaExceededError");
    this[name] = text;
  }

  removeItem(name) {
    delete this[name];
  }
}

globalThis.localStorage = new Storage();
const { PendingSays, TooManyPending } = await import("../../geventchat/page/client/pending_says.js");
const { saved } = await import("../../geventchat/page/client/saved.js");

beforeEach(() => {
  Storage.most = Infinity;
  for (const key of Object.keys(localStorage)) delete localStorage[key];
});

test("messages are there after a reload, in order and with their keys", () => {
  const says = new PendingSays();
  const keys = Array.from({ length: 30 }, (_, i) => says.add("lobby", `text ${i}`).key);
  const again = new PendingSays();
  assert.deepEqual(again.all, says.all);
  assert.deepEqual(again.all.map((say) => say.key), keys);
  assert.equal(new Set(keys).size, 30);
});

test("an acknowledged message is not sent again", () => {
  const says = new PendingSays();
  const { key } = says.add("lobby", "one");
  says.add("lobby", "two");
  assert.equal(says.acknowledge(key)?.text, "one");
  assert.equal(says.acknowledge(key), undefined);
  assert.equal(says.acknowledge(undefined), undefined);
  assert.deepEqual(new PendingSays().all.map((say) => say.text), ["two"]);
  assert.equal(saved("say.").length, 1);
});

test("another tab goes on behind what was pending", () => {
  new PendingSays().add("lobby", "one");
  const next = new PendingSays();
  next.add("lobby", "two");
  assert.deepEqual(new PendingSays().all.map((say) => say.text), ["one", "two"]);
});

test("what another tab has left since is found by reading again", () => {
  const [one, two] = [new PendingSays(), new PendingSays()];
  const { key } = one.add("lobby", "one");
  two.read();
  assert.deepEqual(two.all, one.all);
  one.acknowledge(key);
  one.add("lobby", "two");
  two.read();
  assert.deepEqual(two.all, one.all);
});

test("a browser without space keeps them in memory", () => {
  Storage.most = 10;
  const says = new PendingSays();
  const { key } = says.add("lobby", "one");
  assert.deepEqual(says.all.map((say) => say.text), ["one"]);
  says.acknowledge(key);
  assert.deepEqual(says.all, []);
});

test("too many are refused, none is dropped", () => {
  const says = new PendingSays();
  for (let i = 0; i < 1_000; i++) says.add("lobby", "x");
  assert.throws(() => says.add("lobby", "one more"), TooManyPending);
  assert.equal(says.all.length, 1_000);
});
