/** A dialog that asks for something: a few fields, what is wrong with them, two buttons. */

import { sentence } from "../chat/saying.js";
import { byId, element } from "./elements.js";

/**
 * @typedef {{
 *   name: string, label: string, value?: string, type?: string, hint?: string, autocomplete?: string,
 *   options?: [value: string, shown: string][],
 * }} Field
 */

/**
 * Ask, and do it: the dialog stays open, and says why, while that fails.
 * @param {string} title
 * @param {Field[]} fields
 * @param {string} verb on the button
 * @param {(given: Record<string, string>) => unknown} run may throw or reject
 * @param {string} [text] that explains
 */
export function ask(title, fields, verb, run, text = "") {
  const error = element("p", { className: "error", role: "alert" });
  const submit = element("button", { type: "submit", className: "primary" }, verb);
  const form = element(
    "form",
    { noValidate: true },
    ...fields.map(drawn),
    error,
    element("footer", {}, closeButton("Cancel"), submit),
  );
  form.onsubmit = async (event) => {
    event.preventDefault();
    const given = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, /password/.test(name) ? String(value) : String(value).trim()]));
    submit.disabled = true;
    try {
      await run(given);
      dialog().close();
    } catch (wrong) {
      error.textContent = sentence(wrong);
    } finally {
      submit.disabled = false;
    }
  };
  show(title, element("p", { className: "quiet" }, text), form);
  form.querySelector("input")?.select();
}

/** Show something to read. @param {string} title @param {...Node} content */
export function tell(title, ...content) {
  const close = closeButton("Close");
  show(title, ...content, element("footer", {}, close));
  close.focus();
}

/** @param {string} title @param {...Node} content */
function show(title, ...content) {
  dialog().replaceChildren(element("h2", { id: "dialog-title" }, title), ...content);
  if (!dialog().open) dialog().showModal();
}

/** @param {Field} field */
function drawn({ name, label, value = "", type = "text", hint = "", autocomplete = "off", options }) {
  const input = options
    ? element("select", { name }, ...options.map(([each, shown]) => element("option", { value: each }, shown)))
    : element("input", { name, type, value, autocomplete, spellcheck: false, placeholder: hint, maxLength: 1_024 });
  input.value = value;
  return element("label", {}, label, input);
}

/** @param {string} label */
function closeButton(label) {
  const button = element("button", { type: "button" }, label);
  button.onclick = () => dialog().close();
  return button;
}

function dialog() {
  return /** @type {HTMLDialogElement} */ (byId("dialog"));
}

/** Whether the button of the mouse went down beside what it is on, as on the backdrop of a dialog. */
let isBeside = false;
addEventListener("pointerdown", ({ target, clientX: x, clientY: y }) => {
  const { left, right, top, bottom } = /** @type {Element} */ (target).getBoundingClientRect();
  isBeside = x < left || x > right || y < top || y > bottom;
});
addEventListener("click", ({ target }) => {
  if (isBeside && target instanceof HTMLDialogElement) target.close(); // not within its margins, nor by a selection
});
