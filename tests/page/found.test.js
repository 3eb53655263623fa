import assert from "node:assert/strict";
import { test } from "node:test";

import { excerpt, words } from "../../geventchat/page/text/found.js";

/** The text of an excerpt, with what is marked in brackets. */
function shown(text, query) {
  return excerpt(text, query).map((piece) => (piece.marked ? `[${piece.text}]` : piece.text)).join("");
}

test("a query is its words and phrases", () => {
  assert.deepEqual(words('green "build  is" (green) "" ... "a'), ["green", "build  is", "a"]);
});

test("words are marked whatever their case and accents are", () => {
  assert.equal(shown("The CAFÉ is a cafe\u0301, not a cafeteria", "café"), "The [CAFÉ] is a [cafe\u0301], not a cafeteria");
  assert.equal(shown("naïve and Naive", "naive"), "[naïve] and [Naive]");
});

test("phrases are marked as a whole", () => {
  assert.equal(shown("green build, build green", '"green build"'), "[green build], build green");
});

test("parts of a text without spaces are marked", () => {
  assert.equal(shown("今日は東京へ行く", "東京"), "今日は[東京]へ行く");
});

test("of a long text the place of the first word is shown", () => {
  const text = `${"before ".repeat(100)}needle${" after".repeat(100)}`;
  const found = shown(text, "needle");
  assert.ok(found.startsWith("…") && found.endsWith("…"));
  assert.ok(found.includes("[needle]"));
  assert.ok(found.length < 300);
});

test("words that overlap are marked once", () => {
  assert.equal(shown("green build", 'green "green build"'), "[green][ build]");
});

test("what acts on the text around it is spelt out", () => {
  assert.ok(!shown("a \u202e needle \n b", "needle").includes("\u202e"));
});

test("a hostile text delays nobody", () => {
  const began = performance.now();
  for (const text of ["a".repeat(65_536), "a ".repeat(32_768), "a" + "\u0301".repeat(60_000)]) excerpt(text, "a a a a a a a");
  assert.ok(performance.now() - began < 5_000);
});
