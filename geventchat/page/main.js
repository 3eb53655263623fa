/** Puts the page together: connection, store, chat and the views. */

import { Chat } from "./chat/chat.js";
import { Connection } from "./client/connection.js";
import { Notifications } from "./chat/notifications.js";
import { PendingSays } from "./client/pending_says.js";
import { clientId, load } from "./client/saved.js";
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
import { JoinForm } from "./views/join_form.js";
import { fitAboveKeyboard } from "./views/keyboard.js";
import { listenToKeys } from "./views/keys.js";
import { Log } from "./views/log.js";
import { listenToLog } from "./views/log_clicks.js";
import { MemberList } from "./views/members.js";
import { Menus } from "./views/menus.js";
import { RoomList } from "./views/rooms.js";
import { speak } from "./views/spoken.js";
import { linkedRoom, Places } from "./views/places.js";

const store = new Store();
const connection = new Connection(address(), clientId(), new PendingSays(), (event) => chat.hear(event));
const chat = new Chat(store, connection);
const form = new JoinForm(chat, linkedRoom);
const notifications = new Notifications(chat);
const log = new Log(chat);
const composer = new Composer(chat, () => log.follow());
const menus = new Menus(chat, composer, notifications);
const finder = new Finder(chat);
const drawers = new Drawers(store);
new RoomList(chat);
new Header(chat);
new MemberList(chat, (nick, anchor) => menus.ofNick(nick, anchor));
new Banner(chat, { takeBack: () => location.reload(), again: () => location.reload() });
new Places(chat);
listenToLog(chat, log, menus);
listenToKeys(chat, log, drawers);
speak(store);
fitAboveKeyboard();

chat.ask = (/** @type {string} */ what, /** @type {string | undefined} */ text) => {
  if (what === "finder") finder.open(text);
  else if (what === "operator") menus.askToken();
  else showHelp(store.operator);
};
byId("find-rooms").onclick = byId("join-room").onclick = () => finder.open();
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
  if (document.hidden) store.reads.save();
  else connection.retry();
});
addEventListener("online", () => connection.retry());
addEventListener("offline", () => connection.retry());
addEventListener("pagehide", () => store.reads.save());

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
  if (endedBy === "quit") location.reload(); // to begin anew, with the form
  else if (endedBy === "password") form.show(why, endedBy);
});

if (load("joined", false)) {
  document.documentElement.dataset.view = "chat";
  chat.reenter(linkedRoom());
} else {
  form.show();
}
look();
