/** What the menus offer: of a nick, a message, the room, the user. */

import { report } from "../chat/operator_commands.js";
import { seconds } from "../text/durations.js";
import { oneLine } from "../text/visible.js";
import { ask } from "./dialog.js";
import { byId } from "./elements.js";
import { openMenu } from "./menu.js";

/** @import {Chat} from "../chat/chat.js" */
/** @import {Item} from "../chat/conversation.js" */
/** @import {Notifications} from "../chat/notifications.js" */
/** @import {Composer} from "./composer.js" */
/** @import {Choice} from "./menu.js" */

export class Menus {
  /** @param {Chat} chat @param {Composer} composer @param {Notifications} notifications */
  constructor(chat, composer, notifications) {
    this.chat = chat;
    this.composer = composer;
    this.notifications = notifications;
  }

  /** @param {string} nick @param {HTMLElement} anchor @param {Choice[]} [first] */
  ofNick(nick, anchor, first = []) {
    const { chat } = this;
    const { store } = chat;
    /** @type {Choice[]} */
    const choices = [...first];
    if (nick !== store.nick) {
      const hides = store.ignored.has(nick);
      choices.push(
        { label: `Message ${oneLine(nick)}`, run: () => chat.show(store.direct(nick)) },
        { label: "Mention", run: () => this.composer.insert(`${nick} `) },
        { label: hides ? "No longer ignore" : "Ignore", run: () => store.ignore(nick, !hides) },
      );
      if (store.operator) {
        choices.push(
          null,
          { label: "Mute…", run: () => this.#moderate("mute", nick), danger: true },
          { label: "Unmute", run: () => this.#undo("unmute", nick) },
          { label: "Kick…", run: () => this.#moderate("kick", nick), danger: true },
          { label: "Ban…", run: () => this.#moderate("ban", nick), danger: true },
        );
      }
    } else {
      choices.push({ label: "Change your name…", run: () => this.askNick() });
    }
    openMenu(anchor, oneLine(nick), choices);
  }

  /** @param {Item} item @param {HTMLElement} anchor */
  ofMessage(item, anchor) {
    const copy = { label: "Copy text", run: () => navigator.clipboard?.writeText(item.text) };
    this.ofNick(item.author, anchor, [copy]);
  }

  /** @param {HTMLElement} anchor */
  ofRoom(anchor) {
    const { chat } = this;
    const room = chat.store.current;
    if (!room) return;
    const isRoom = room.kind === "room";
    /** @type {Choice[]} */
    const choices = isRoom ? [{ label: "Set the topic…", run: () => this.askTopic() }] : [];
    if (isRoom && navigator.clipboard) choices.push({ label: "Copy link to this room", run: () => navigator.clipboard.writeText(location.href) });
    choices.push({ label: isRoom ? "Leave this room" : "Close", run: () => this.#try(chat.leave()) });
    if (chat.store.operator && isRoom) {
      const action = (/** @type {string} */ name, /** @type {string} */ label) => (
        { label, run: () => this.#undo(name, room.name) }
      );
      choices.push(null, action("lock", "Lock the topic"), action("unlock", "Unlock the topic"),
        action("freeze", "Let only operators post"), action("unfreeze", "Let everyone post"));
    }
    openMenu(anchor, oneLine(room.name), choices);
  }

  ofMe() {
    const { chat, notifications } = this;
    /** @type {Choice[]} */
    const choices = [
      { label: "Change your name…", run: () => this.askNick() },
      { label: "Notifications", checked: notifications.shows, run: () => notifications.toggleShows() },
      { label: "Sound", checked: notifications.sounds, run: () => notifications.toggleSounds() },
      null,
      { label: "Help", run: () => chat.ask("help") },
    ];
    if (chat.store.moderated && !chat.store.operator) choices.push({ label: "Become an operator…", run: () => this.askToken() });
    choices.push({ label: "Leave the chat", run: () => chat.quit() });
    openMenu(byId("me"), oneLine(chat.store.nick), choices);
  }

  askNick() {
    const { chat } = this;
    const field = { name: "nick", label: "New name", value: chat.store.nick };
    ask("Change your name", [field], "Change", ({ nick }) => chat.rename(nick));
  }

  askTopic() {
    const { chat } = this;
    const field = { name: "topic", label: "Topic", value: chat.store.current?.topic, hint: "Empty removes it" };
    ask("Set the topic", [field], "Set", ({ topic }) => chat.topic(topic));
  }

  askToken() {
    const field = { name: "token", label: "Operator token", type: "password" };
    const text = "The server keeps it in the file that its first lines name.";
    ask("Become an operator", [field], "Become operator", ({ token }) => this.chat.becomeOperator(token), text);
  }

  /** @param {"mute" | "kick" | "ban"} action @param {string} nick */
  #moderate(action, nick) {
    const verb = `${action[0].toUpperCase()}${action.slice(1)}`;
    const reason = { name: "reason", label: "Reason, shown to them" };
    /** @type {import("./dialog.js").Field[]} */
    const fields = action === "kick" ? [reason] : [
      { name: "by", label: "What is meant", value: "", options: [["", "The name and its client"], ["address", "The address"]] },
      { name: "time", label: "For how long", value: action === "mute" ? "10m" : "1d", hint: "Empty: until undone" },
      reason,
    ];
    ask(`${verb} ${oneLine(nick)}`, fields, verb, async ({ by, time, reason: why }) => {
      const done = await this.chat.admin({
        action, target: nick, target_type: by || undefined, seconds: time ? seconds(time) : undefined, reason: why || undefined,
      });
      report(this.chat, done);
    });
  }

  /** @param {string} action @param {string} target */
  #undo(action, target) {
    this.#try(this.chat.admin({ action, target }).then((done) => report(this.chat, done)));
  }

  /** @param {Promise<unknown>} done */
  #try(done) {
    done.catch((error) => this.chat.notice(error.message, true));
  }
}
