/** The address of the page names the room that is shown, and a link to `/#room` opens it. */

/** @import {Chat} from "../chat/chat.js" */

/** The room that the address names; empty if none. */
export function linkedRoom() {
  try {
    return decodeURIComponent(location.hash.slice(1)).trim();
  } catch {
    return ""; // not an address that this page has made
  }
}

export class Places {
  /** @param {Chat} chat */
  constructor(chat) {
    const { store } = chat;
    let moving = false;
    store.listen((what) => {
      if (what !== "current" || moving) return;
      const hash = store.current?.isDirect === false ? `#${encodeURIComponent(store.current.name)}` : "";
      const place = { kind: store.current?.kind, name: store.current?.name };
      const url = location.pathname + location.search + hash;
      if (history.state?.kind === undefined || location.hash === hash) history.replaceState(place, "", url);
      else history.pushState(place, "", url);
    });
    addEventListener("popstate", async ({ state }) => {
      const place = state ?? { kind: "room", name: linkedRoom() };
      if (!place.name || document.documentElement.dataset.view !== "chat") return;
      moving = true;
      try {
        if (place.kind === "direct") chat.show(store.direct(place.name));
        else await chat.join(place.name);
      } catch (error) {
        chat.notice(error instanceof Error ? error.message : String(error), true);
      } finally {
        moving = false;
      }
    });
  }
}
