/** Puts the page together: connection, store, chat and the views. */

import { Chat } from "./chat/chat.js";
import { Connection } from "./client/connection.js";
import { Notifications } from "./chat/notifications.js";
import { PendingSays } from "./client/pending_says.js";
import { clientId, forget, load, save } from "./client/saved.js";
import { address } from "./client/socket_link.js";
import { Store } from "./chat/store.js";
import { takeOver } from "./client/tab.js";
import { Banner } from "./views/banner.js";
import { Composer } from "./views/composer.js";
import { Drawers } from "./views/drawers.js";
import { byId } from "./views/elements.js";
import { Finder } from "./views/finder.js";
import { Header } from "./views/header.js";
import { showHelp } from "./views/help.js";
import { Invitations } from "./views/invitations.js";
import { JoinForm } from "./views/join_form.js";
import { fitAboveKeyboard } from "./views/keyboard.js";
import { listenToKeys } from "./views/keys.js";
import { Log } from "./views/log.js";
import { listenToLog } from "./views/log_clicks.js";
import { MemberList } from "./views/members.js";
import { Menus } from "./views/menus.js";
import { PeopleViews } from "./views/people.js";
import { RoomList } from "./views/rooms.js";
import { Search } from "./views/search.js";
import { speak } from "./views/spoken.js";
import { linkedRoom, Places } from "./views/places.js";

const signedOut = load("signed out", false);
if (signedOut) forget();
const store = new Store();
const connection = new Connection(address(), clientId(), new PendingSays(), (event) => chat.hear(event));
const chat = new Chat(store, connection);
const form = new JoinForm(chat, linkedRoom);
const notifications = new Notifications(chat);
const log = new Log(chat);
const composer = new Composer(chat, () => log.follow());
const menus = new Menus(chat, composer, notifications);
const people = new PeopleViews(chat);
const finder = new Finder(chat);
const search = new Search(chat);
const drawers = new Drawers(store);
new RoomList(chat);
new Invitations(chat);
new Header(chat);
new MemberList(chat, (nick, anchor) => menus.ofNick(nick, anchor));
new Banner(chat);
new Places(chat);
listenToLog(chat, log, menus);
listenToKeys(chat, log, drawers);
speak(store);
fitAboveKeyboard();

chat.ask = (/** @type {string} */ what, /** @type {string | undefined} */ text) => {
  if (what === "finder") return finder.open(text);
  if (what === "search") return search.open(text);
  if (what === "operator") return menus.askToken();
  if (what === "login") return beginAnew("", "sign-in", text);
  return what === "help" ? showHelp(store.operator) : people.open(what, text);
};
byId("find-rooms").onclick = byId("join-room").onclick = () => finder.open();
byId("new-private").onclick = () => chat.ask("create");
byId("all-conversations").onclick = () => menus.attempt(chat.ask("conversations"));
byId("topic").onclick = () => menus.askTopic();
byId("me").onclick = () => menus.ofMe();
byId("room-menu").onclick = () => menus.ofRoom(byId("room-menu"));
byId("new-messages").onclick = () => log.follow();

/** Whether the user looks at the page: what arrives then is read. */
function look() {
  store.attentive = document.visibilityState === "visible" && document.hasFocus();
  if (store.attentive) log.draw();
}
addEventListener("focus", look);
addEventListener("blur", look);
document.addEventListener("visibilitychange", () => {
  look();
  if (document.hidden) leave();
  else connection.retry();
});
addEventListener("online", () => connection.retry());
addEventListener("offline", () => connection.retry());
addEventListener("pagehide", leave);

/** The page may be gone in a moment: what is saved late is saved now. */
function leave() {
  store.reads.save();
  chat.marks.flush();
}

let isOwner = false;
store.listen((what) => {
  if (isOwner || what !== "status" || store.status.is !== "connecting") return;
  isOwner = true;
  takeOver(() => {
    store.status.is = "taken";
    connection.abandon();
    store.changed("status");
  });
});

store.listen((what) => {
  if (what !== "status" || store.status.is !== "taken") return; // by a lock, or by the server
  store.reads.stop();
  store.handOver();
});

store.listen((what) => {
  const { is, why, endedBy } = store.status;
  if (what !== "status" || is !== "ended" || document.documentElement.dataset.view !== "chat") return;
  if (endedBy === "password") return form.show(why, endedBy);
  if (endedBy === "account" && !load("signed out", false)) beginAnew(why, "sign-in");
  else if (endedBy === "quit" || endedBy === "account") reload();
});

/** Begin anew, with the form. */
function reload() {
  if (load("signed out", false)) history.replaceState(null, "", location.pathname); // no name of a private room
  location.reload();
}

/** Leave what is shown, for the form. @param {string} why @param {string} as @param {string} [name] */
function beginAnew(why, as, name) {
  for (const each of ["joined", "session"]) save(each, undefined);
  if (name) save("name", name);
  save("form", { why, as }, "sessionStorage");
  if (store.status.is === "ended") reload();
  else chat.quit();
}

if (load("joined", false)) {
  document.documentElement.dataset.view = "chat";
  chat.reenter(linkedRoom());
} else {
  const { why, as } = load("form", { why: "", as: signedOut ? "sign-in" : "guest" }, "sessionStorage");
  save("form", undefined, "sessionStorage");
  form.show(why, why ? "account" : "", /** @type {import("./views/join_form.js").As} */ (as));
  if (signedOut) byId("join-where").textContent = "You are signed out.";
}
look();
