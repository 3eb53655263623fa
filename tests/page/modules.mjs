// Answers questions about the page's modules: one JSON list [function, ...arguments] a line in, one
// JSON answer a line out.

import { createInterface } from "node:readline";

import { beginsLikeOne, seconds } from "../../geventchat/page/text/durations.js";
import { links } from "../../geventchat/page/text/links.js";
import { mentions } from "../../geventchat/page/text/mentions.js";
import { fold } from "../../geventchat/page/text/names.js";
import { pieces } from "../../geventchat/page/text/text.js";
import { visible } from "../../geventchat/page/text/visible.js";
import { COMMANDS, parse } from "../../geventchat/page/chat/commands.js";
import { read } from "../../geventchat/page/chat/typed.js";

const functions = {
  beginsLikeOne,
  fold,
  links,
  mentions: (text, nick) => mentions(text, nick).map(([begin, end]) => [points(text, begin), points(text, end)]),
  parse: (name, rest) => parse(COMMANDS.get(name), rest),
  pieces,
  read: (line) => {
    const meant = read(line);
    return typeof meant === "string" ? meant : [meant[0].name, meant[1]];
  },
  seconds,
  visible,
};

/** Python counts code points. */
function points(text, index) {
  return [...text.slice(0, index)].length;
}

for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...given] = JSON.parse(line);
  let answer;
  try {
    answer = { value: functions[name](...given) };
  } catch (error) {
    answer = { error: error.message };
  }
  console.log(JSON.stringify(answer));
}
