/** Callers that wait for the answer to a request, by its id. */

/** @import {ServerError, ServerEvent} from "../protocol" */

const ANSWER_MS = 30_000;

/** The server refused a request. */
export class Refused extends Error {
  /** @param {ServerError} error */
  constructor(error) {
    super(error.text);
    this.code = error.code;
  }
}

/** The connection ended before the answer, or is down. */
export class Ended extends Error {}

export class PendingReplies {
  #ids = 0;
  /** @type {Map<string, {resolve: (event: any) => void, reject: (error: Error) => void, late: number}>} */
  #waiting = new Map();

  /** Whether somebody waits. */
  get any() {
    return this.#waiting.size > 0;
  }

  /** A new id, which no request has yet. */
  id() {
    return String(++this.#ids);
  }

  /** @param {string} id @returns {Promise<any>} the answer, due in 30 s */
  expect(id) {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        if (this.#waiting.delete(id)) reject(new Ended("The server did not answer."));
      }, ANSWER_MS);
      this.#waiting.set(id, { resolve, reject, late });
    });
  }

  /** @param {ServerEvent & {id?: string}} event @returns {boolean} whether somebody waited for it */
  resolve(event) {
    const waiting = this.#waiting.get(event.id ?? "");
    if (!waiting) return false;
    this.#waiting.delete(event.id ?? "");
    clearTimeout(waiting.late);
    if (event.type === "error") waiting.reject(new Refused(event));
    else waiting.resolve(event);
    return true;
  }

  /** @param {string} why there will be no answer */
  failAll(why) {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject, late } of waiting) {
      clearTimeout(late);
      reject(new Ended(why));
    }
  }
}
