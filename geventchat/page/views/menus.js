/** What the menus offer: of a nick, a message, the room, the user. */

import { report } from "../chat/operator_commands.js";
import { seconds } from "../text/durations.js";
import { oneLine } from "../text/visible.js";
import { ask } from "./dialog.js";
import { byId } from "./elements.js";
import { openMenu } from "./menu.js";

/** @import {Chat} from "../chat/chat.js" */
/** @import {Conversation, Item} from "../chat/conversation.js" */
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
        { label: `Message ${oneLine(nick)}`, run: () => this.attempt(chat.write(nick)) },
        { label: "Mention", run: () => this.composer.insert(`${nick} `) },
        { label: hides ? "No longer ignore" : "Ignore", run: () => store.ignore(nick, !hides) },
      );
      choices.push(...this.#ofMember(nick));
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

  /** What accounts can do with another, and moderators in their room. @param {string} nick @returns {Choice[]} */
  #ofMember(nick) {
    const { account, privately, store: { current, people } } = this.chat;
    /** @type {Choice[]} */
    const choices = [];
    if (people.isPrivate) choices.push({ label: "Block", run: () => this.attempt(account.block(nick, true)), danger: true });
    if (!current?.moderator) return choices;
    const room = current.name;
    const isOne = current.moderators.has(nick);
    const label = isOne ? "No longer a moderator" : "Make a moderator";
    return [
      ...choices,
      null,
      { label, run: () => this.attempt(privately.moderator(nick, room, !isOne)) },
      { label: "Mute in this room…", run: () => this.#muteHere(nick, room) },
      { label: "Unmute in this room", run: () => this.attempt(privately.mute(nick, room, false)) },
      { label: "Remove from this room", run: () => this.attempt(privately.remove(nick, room)), danger: true },
    ];
  }

  /** @param {string} nick @param {string} room */
  #muteHere(nick, room) {
    const time = { name: "time", label: "For how long", value: "10m", hint: "Empty: until undone" };
    ask(`Mute ${oneLine(nick)} in ${oneLine(room)}`, [time], "Mute", (given) => (
      this.chat.privately.mute(nick, room, true, given.time ? seconds(given.time) : undefined)
    ));
  }

  /** @param {Item} item @param {HTMLElement} anchor */
  ofMessage(item, anchor) {
    const { changes, store } = this.chat;
    const room = store.current;
    /** @type {Choice[]} */
    const choices = [];
    if (!item.redacted) choices.push({ label: "Copy text", run: () => copy(item.text) });
    if (changes.mayEdit(item)) choices.push({ label: "Edit", run: () => this.composer.edit(item) });
    if (changes.mayTakeBack(item)) {
      choices.push({ label: "Take back…", run: () => this.#askTakeBack(room, item), danger: true });
    }
    if (!item.hook) return this.ofNick(item.author, anchor, choices);
    const label = store.ignored.has(item.author) ? "No longer ignore" : "Ignore";
    choices.push({ label, run: () => store.ignore(item.author, !store.ignored.has(item.author)) });
    openMenu(anchor, oneLine(item.author), choices);
  }

  /** @param {Conversation | null} room @param {Item} item */
  #askTakeBack(room, item) {
    const text = "Nobody can read it any more, and the server deletes it.";
    ask("Take back the message?", [], "Take back", () => this.chat.changes.takeBack(room, item.position), text);
  }

  /** @param {HTMLElement} anchor */
  ofRoom(anchor) {
    const { chat } = this;
    const room = chat.store.current;
    if (!room) return;
    const isRoom = !room.isDirect;
    /** @type {Choice[]} */
    const choices = isRoom && (!room.private || room.moderator) ? [{ label: "Set the topic…", run: () => this.askTopic() }] : [];
    if (isRoom && room.private) choices.unshift({ label: "Invite…", run: () => chat.ask("invite", room.name) });
    if (isRoom) choices.push({ label: "Copy link to this room", run: () => copy(location.href) });
    choices.push({ label: isRoom ? "Leave this room" : "Close", run: () => this.attempt(chat.leave()) });
    if (chat.store.operator && isRoom) {
      const action = (/** @type {string} */ name, /** @type {string} */ label) => (
        { label, run: () => this.#undo(name, room.name) }
      );
      choices.push(null, action("lock", "Lock the topic"), action("unlock", "Unlock the topic"),
        action("freeze", "Let only operators post"), action("unfreeze", "Let everyone post"));
    }
    if (!isRoom) choices.push(...this.#ofMember(room.title));
    openMenu(anchor, oneLine(room.title), choices);
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
    choices.unshift(...this.#ofAccount());
    if (chat.store.people.features.has("admin") && !chat.store.operator) choices.push({ label: "Become an operator…", run: () => this.askToken() });
    if (chat.store.people.account) choices.push({ label: "Sign out", run: () => this.attempt(chat.account.signOut()) });
    choices.push({ label: "Leave the chat", run: () => chat.quit() });
    openMenu(byId("me"), oneLine(chat.store.nick), choices);
  }

  /** @returns {Choice[]} */
  #ofAccount() {
    const { chat } = this;
    const { people } = chat.store;
    if (!people.features.has("accounts")) return [];
    /** @type {[label: string, what: string][]} */
    const choices = people.account
      ? [["Your sessions…", "sessions"], ["Change the password…", "password"]]
      : [["Register…", "register"], ["Sign in…", "login"]];
    return [...choices.map(([label, what]) => ({ label, run: () => this.attempt(chat.ask(what)) })), null];
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
    this.attempt(this.chat.admin({ action, target }).then((done) => report(this.chat, done)));
  }

  /** Show why something failed. @param {Promise<unknown> | void} done */
  attempt(done) {
    done?.catch((error) => this.chat.notice(error.message, true));
  }
}

/** Put a text into the clipboard. @param {string} text */
function copy(text) {
  const put = (/** @type {ClipboardEvent} */ event) => {
    event.clipboardData?.setData("text/plain", text);
    event.preventDefault();
  };
  addEventListener("copy", put);
  // Over plain HTTP there is no other way.
  if (!document.execCommand("copy")) navigator.clipboard?.writeText(text);
  removeEventListener("copy", put);
}
