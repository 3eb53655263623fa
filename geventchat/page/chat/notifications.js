/** Tells the user of mentions and direct messages: in the title; if they want by notification and sound. */

import { isAction } from "../text/text.js";
import { load, save } from "../client/saved.js";
import { oneLine, visible } from "../text/visible.js";

/** @import {Chat} from "./chat.js" */
/** @import {Conversation, Item} from "./conversation.js" */

const SHOWN_CHARACTERS = 200;

export class Notifications {
  #chat;
  #shows = load("notify", false);
  #sounds = load("sound", false);
  /** @type {AudioContext | null} */
  #audio = null;
  /** The newest of each conversation. @type {Map<Conversation, {item: Item, shown: Notification}>} */
  #newest = new Map();

  /** @param {Chat} chat */
  constructor(chat) {
    this.#chat = chat;
    chat.store.listen((what, conversation, item) => {
      if (what === "alert" && conversation && item) this.#alert(conversation, item);
      if (["rooms", "current", "status"].includes(what)) this.#title();
      if (what === "change" && conversation && this.#newest.get(conversation)?.item === item) this.#close(conversation);
    });
  }

  get shows() {
    return this.#shows && "Notification" in window && Notification.permission === "granted";
  }

  get sounds() {
    return this.#sounds;
  }

  async toggleShows() {
    const wanted = !this.shows;
    if (wanted && !("Notification" in window)) return this.#chat.notice("This browser shows no notifications here.", true);
    if (wanted && (await Notification.requestPermission()) !== "granted") {
      return this.#chat.notice("The browser does not allow notifications of this page. Its settings can change that.", true);
    }
    this.#shows = wanted;
    save("notify", wanted);
    this.#chat.notice(wanted ? "Mentions and direct messages are notified." : "No more notifications.");
  }

  toggleSounds() {
    this.#sounds = !this.#sounds;
    save("sound", this.#sounds);
    if (this.#sounds) this.#ring();
  }

  #title() {
    const { all, current } = this.#chat.store;
    if (document.documentElement.dataset.view !== "chat") return;
    let badge = 0;
    let unread = false;
    for (const each of this.#newest.keys()) if (!each.unread) this.#close(each); // read, here or elsewhere
    for (const each of all) {
      if (each.isDirect) badge += each.unread;
      else if (each.mentioned) badge++;
      unread ||= each.unread > 0;
    }
    const mark = badge ? `(${badge}) ` : unread ? "• " : "";
    document.title = `${mark}${current ? `${oneLine(current.title)} – ` : ""}geventchat`;
  }

  /** @param {Conversation} conversation @param {Item} item */
  #alert(conversation, item) {
    const { store } = this.#chat;
    if (store.attentive && store.current === conversation && !conversation.scrolledUp) return;
    if (this.#sounds) this.#ring();
    if (!this.shows || store.attentive) return;
    const place = !conversation.isDirect ? ` in ${conversation.name}` : "";
    const text = isAction(item.text) ? `${item.author} ${item.text.slice(4)}` : item.text;
    try {
      const shown = new Notification(oneLine(`${item.author}${place}`), {
        body: visible(text.slice(0, SHOWN_CHARACTERS), "\n"), icon: "icon-192.png", tag: conversation.id,
      });
      this.#newest.set(conversation, { item, shown });
      shown.onclick = () => {
        window.focus();
        this.#chat.show(conversation);
        this.#close(conversation);
      };
    } catch {
      // some browsers allow them to service workers alone
    }
  }

  /** @param {Conversation} conversation that was read, or whose message has another text now */
  #close(conversation) {
    this.#newest.get(conversation)?.shown.close();
    this.#newest.delete(conversation);
  }

  /** Two soft notes. */
  #ring() {
    this.#audio ??= new AudioContext();
    const audio = this.#audio;
    for (const [i, frequency] of [659, 880].entries()) {
      const begin = audio.currentTime + i * 0.11;
      const note = new OscillatorNode(audio, { type: "sine", frequency });
      const volume = new GainNode(audio, { gain: 0 });
      volume.gain.setValueAtTime(0, begin);
      volume.gain.linearRampToValueAtTime(0.12, begin + 0.015);
      volume.gain.exponentialRampToValueAtTime(0.001, begin + 0.3);
      note.connect(volume).connect(audio.destination);
      note.start(begin);
      note.stop(begin + 0.32);
    }
  }
}
