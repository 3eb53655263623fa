/** The dialogs about the user's account, about conversations and about private rooms. */

import { LEAST_PASSWORD } from "../chat/account.js";
import { sentence } from "../chat/saying.js";
import { oneLine } from "../text/visible.js";
import { ask, tell } from "./dialog.js";
import { avatar, byId, element, isolated } from "./elements.js";

/** @import {Chat} from "../chat/chat.js" */
/** @import {ListedConversation, Session} from "../protocol" */
/** @import {Field} from "./dialog.js" */

const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
/** @type {Field} */
const NEW_PASSWORD = {
  name: "password", label: "Password", type: "password", hint: `At least ${LEAST_PASSWORD} characters`, autocomplete: "new-password",
};

export class PeopleViews {
  #chat;

  /** @param {Chat} chat */
  constructor(chat) {
    this.#chat = chat;
  }

  /**
   * Open a dialog by its name.
   * @param {string} what
   * @param {string} [text]
   * @returns {any} a promise that may reject, with what is for the user
   */
  open(what, text = "") {
    switch (what) {
      case "register":
        return this.#register(text);
      case "password":
        return this.#password();
      case "sessions":
        return this.#sessions();
      case "conversations":
        return this.#conversations();
      case "create":
        return this.#create();
      case "invite":
        return this.#invite(text);
    }
  }

  /** @param {string} nick */
  #register(nick) {
    const { account, store } = this.#chat;
    const own = store.nick.startsWith("guest-") ? "" : store.nick;
    const name = { name: "nick", label: "Name", value: nick || own, autocomplete: "username" };
    ask("Register", [name, NEW_PASSWORD], "Register", ({ nick: chosen, password }) => account.register(chosen, password),
      "The name becomes yours, on all your devices. Rooms follow you, and messages wait for you.");
  }

  #password() {
    const { account } = this.#chat;
    account.check();
    /** @type {Field[]} */
    const fields = [
      { name: "old-password", label: "Present password", type: "password", autocomplete: "current-password" },
      { ...NEW_PASSWORD, label: "New password" },
    ];
    ask("Change the password", fields, "Change", (given) => account.changePassword(given["old-password"], given.password),
      "You stay signed in here; everywhere else the session ends.");
  }

  async #sessions() {
    const { account } = this.#chat;
    const list = element("ul", { className: "choices", role: "list", "aria-label": "Sessions" });
    const error = element("p", { className: "error", role: "alert" });
    /** @param {Session[]} sessions */
    const draw = (sessions) => list.replaceChildren(...sessions.map(entry));
    /** @param {Session} session */
    const entry = (session) => {
      const { id, current, connections = 0, created, used, device = "" } = session;
      const where = current ? "This browser" : connections ? "Connected now" : `Used ${DATE.format(used)}`;
      const end = element("button", { type: "button", "aria-label": `${current ? "Sign out" : "End"} ${where}` }, current ? "Sign out" : "End");
      end.onclick = async () => {
        try {
          if (current) await account.signOut();
          else draw(await account.revoke(id));
          error.textContent = "";
        } catch (wrong) {
          error.textContent = sentence(wrong);
        }
      };
      return element("li", {}, element("span", { className: "grow" }, where, element("small", {}, [oneLine(device), `Signed in ${DATE.format(created)}`, id].filter(Boolean).join(" · "))), end);
    };
    draw(await account.sessions());
    tell("Your sessions", element("p", { className: "quiet" }, "Each is a browser or a program where you have signed in."), error, element("div", { className: "scroll" }, list));
  }

  async #conversations() {
    const { privately, store } = this.#chat;
    const list = element("ul", { className: "choices", role: "list", "aria-label": "Conversations" });
    const more = element("button", { type: "button" }, "Show more");
    /** @param {ListedConversation} listed */
    const entry = ({ with: { nick }, unread = 0 }) => {
      const badge = element("span", { className: "badge personal" }, String(unread));
      const button = element("button", { type: "button" }, avatar(nick), element("span", { className: "grow" }, isolated(nick)), ...(unread ? [badge] : []));
      button.onclick = () => {
        /** @type {HTMLDialogElement} */ (byId("dialog")).close();
        this.#try(this.#chat.write(nick));
      };
      return element("li", {}, button);
    };
    /** @param {string} [after] */
    const load = async (after) => {
      const page = await privately.conversations(after);
      list.append(...page.conversations.map(entry));
      more.hidden = !page.next;
      more.onclick = () => this.#try(load(page.next));
    };
    await load();
    const none = list.children.length ? "" : `${oneLine(store.nick)}, you have none yet. Choose a name and “Message”.`;
    tell("All conversations", element("p", { className: "quiet" }, none), element("div", { className: "scroll" }, list, more));
  }

  #create() {
    /** @type {Field[]} */
    const fields = [
      { name: "room", label: "Name" },
      { name: "history", label: "What newcomers see", value: "", options: [["", "All that was said"], ["joined", "What is said after they join"]] },
    ];
    ask("New private room", fields, "Create", ({ room, history }) => this.#chat.create(this.#chat.roomName(room), history !== ""),
      "Only accounts that are invited can join it, find it or read it.");
  }

  /** @param {string} room */
  #invite(room) {
    const field = { name: "nick", label: "Name of an account" };
    ask(`Invite to ${oneLine(room)}`, [field], "Invite", ({ nick }) => this.#chat.privately.invite(nick, room));
  }

  /** @param {Promise<unknown>} done */
  #try(done) {
    done.catch((error) => this.#chat.notice(sentence(error), true));
  }
}
