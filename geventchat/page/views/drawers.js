/** The rooms and the members on a small screen: drawers over the conversation, one at a time. */

import { byId } from "./elements.js";

/** @import {Store} from "../chat/store.js" */

const MEDIUM = matchMedia("(max-width: 1080px)");

export class Drawers {
  /** @param {Store} store */
  constructor(store) {
    byId("open-rooms").onclick = () => this.#toggle("rooms");
    byId("open-members").onclick = () => this.#toggle("members");
    byId("close-members").onclick = () => this.close();
    byId("shade").onclick = () => this.close();
    store.listen((what) => what === "current" && this.close());
    MEDIUM.addEventListener("change", () => this.close());
  }

  /** @returns {boolean} whether one was open */
  close() {
    const { drawer } = document.documentElement.dataset;
    if (drawer) this.#open("");
    return Boolean(drawer);
  }

  /** @param {"rooms" | "members"} which */
  #toggle(which) {
    if (which === "members" && !MEDIUM.matches) {
      const hidden = document.documentElement.toggleAttribute("data-no-members");
      byId("open-members").setAttribute("aria-expanded", String(!hidden));
    } else {
      this.#open(document.documentElement.dataset.drawer === which ? "" : which);
    }
  }

  /** @param {string} which */
  #open(which) {
    const before = document.documentElement.dataset.drawer;
    if (which) document.documentElement.dataset.drawer = which;
    else delete document.documentElement.dataset.drawer;
    for (const each of ["rooms", "members"]) {
      byId(`open-${each}`).setAttribute("aria-expanded", String(each === which));
    }
    if (which) byId(which).querySelector("button")?.focus();
    else if (before && MEDIUM.matches && byId(before).contains(document.activeElement)) byId(`open-${before}`).focus();
  }
}
