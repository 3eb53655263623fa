/** A menu beside what opened it, used by mouse, touch and keyboard alike. */

import { byId, element } from "./elements.js";

/** @typedef {{label: string, run: () => unknown, danger?: boolean, checked?: boolean} | null} Choice null: a line */

const menu = byId("menu");
/** @type {HTMLElement | null} */
let opener = null;

/**
 * @param {HTMLElement} anchor
 * @param {string} title
 * @param {Choice[]} choices
 */
export function openMenu(anchor, title, choices) {
  opener = anchor;
  menu.setAttribute("aria-label", title);
  menu.replaceChildren(...choices.map((choice) => (choice ? entry(choice) : element("hr"))));
  menu.showPopover();
  place(anchor);
  /** @type {HTMLElement} */ (menu.querySelector("button")).focus();
}

/** @param {NonNullable<Choice>} choice */
function entry({ label, run, danger, checked }) {
  const role = checked === undefined ? "menuitem" : "menuitemcheckbox";
  const button = element("button", { type: "button", role, "aria-checked": checked === undefined ? undefined : String(checked) }, label);
  if (danger) button.classList.add("danger");
  button.onclick = () => {
    close();
    run();
  };
  return button;
}

/** Below its anchor, or above it where there is no space. @param {HTMLElement} anchor */
function place(anchor) {
  const at = anchor.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = menu;
  const left = Math.max(8, Math.min(at.left, innerWidth - width - 8));
  const below = at.bottom + 4;
  const top = below + height < innerHeight - 8 ? below : Math.max(8, at.top - height - 4);
  menu.style.left = `${left}px`;
  menu.style.top = `${top}px`;
}

function close() {
  menu.hidePopover();
  opener?.focus();
}

menu.addEventListener("keydown", (event) => {
  const entries = [...menu.querySelectorAll("button")];
  const at = entries.findIndex((each) => each === document.activeElement);
  /** @type {Record<string, number>} */
  const steps = { ArrowDown: at + 1, ArrowUp: at - 1 + entries.length, Home: 0, End: entries.length - 1 };
  if (event.key in steps) entries[steps[event.key] % entries.length]?.focus();
  else if (event.key === "Escape" || event.key === "Tab") close();
  else return;
  event.preventDefault();
  event.stopPropagation();
});
