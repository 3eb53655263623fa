/**
 * Which tab of this browser is the client: one at a time, the newest.
 *
 * The lock tells the tab before at once. Where there are no locks (a page over plain HTTP from
 * another machine) the server tells it: `replaced`.
 */

/**
 * Take over from another tab.
 * @param {() => void} lost called when another tab takes over from this one
 */
export function takeOver(lost) {
  navigator.locks?.request("geventchat", { steal: true }, () => new Promise(() => {}))
    .catch(({ name }) => name === "AbortError" && lost()); // else locks are denied, as where nothing is stored
}
