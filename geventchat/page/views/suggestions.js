/** The list of what a word may become, above the composer. */

import { visible } from "../text/visible.js";
import { byId, element } from "./elements.js";

/** @import {Completion} from "../chat/completion.js" */

export class Suggestions {
  #list = byId("suggestions");
  #input;
  #changed;
  /** @type {Completion | null} */
  #shown = null;
  #chosen = 0;

  /** @param {HTMLTextAreaElement} input @param {() => void} changed called when a word was completed */
  constructor(input, changed) {
    this.#input = input;
    this.#changed = changed;
    this.#list.addEventListener("pointerdown", (event) => {
      event.preventDefault(); // the focus stays in the input
      const option = /** @type {HTMLElement} */ (event.target).closest("li");
      if (option) this.#take(Number(option.dataset.index));
    });
  }

  /** @param {Completion | null} completion */
  show(completion) {
    this.#shown = completion;
    this.#chosen = 0;
    this.#list.hidden = !completion;
    const options = (completion?.offers ?? []).map(({ shown, hint }, i) =>
      element(
        "li",
        { role: "option", id: `suggestion-${i}`, "data-index": i },
        element("bdi", {}, visible(shown)),
        element("small", {}, hint),
      ),
    );
    this.#list.replaceChildren(...options);
    this.#mark();
  }

  hide() {
    if (this.#shown) this.show(null);
  }

  /** Complete by Tab: at once if there is one offer, else choose. */
  tab() {
    if (this.#shown?.offers.length === 1) this.#take(0);
  }

  /** @param {KeyboardEvent} event @returns {boolean} whether it was for the list */
  key(event) {
    const shown = this.#shown;
    if (!shown) return false;
    const { offers, begin, end } = shown;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      this.#chosen = (this.#chosen + (event.key === "ArrowDown" ? 1 : offers.length - 1)) % offers.length;
      this.#mark();
    } else if (event.key === "Escape") {
      this.hide();
      event.stopPropagation();
    } else if (event.key === "Tab" && !event.shiftKey) {
      this.#take(this.#chosen);
    } else if (event.key === "Enter" && !event.shiftKey) {
      const typed = this.#input.value.slice(begin, end);
      // What is complete is sent, not completed.
      if (offers.some(({ text }) => text.trim() === typed)) {
        this.hide();
        return false;
      }
      this.#take(this.#chosen);
    } else {
      return false;
    }
    return true;
  }

  /** @param {number} index */
  #take(index) {
    if (!this.#shown) return;
    const { begin, end, offers } = this.#shown;
    this.#input.setRangeText(offers[index].text, begin, end, "end");
    this.hide();
    this.#changed();
  }

  #mark() {
    for (const [i, option] of [...this.#list.children].entries()) {
      option.setAttribute("aria-selected", String(i === this.#chosen));
      if (i === this.#chosen) option.scrollIntoView({ block: "nearest" });
    }
    if (this.#shown) this.#input.setAttribute("aria-activedescendant", `suggestion-${this.#chosen}`);
    else this.#input.removeAttribute("aria-activedescendant");
  }
}
