/** One WebSocket connection: hello and welcome, then events until it ends. */

import { randomKey } from "./saved.js";

/** @import {Bye, Cursors, Hello, ServerEvent, Welcome} from "../protocol" */

const WELCOME_MS = 10_000;
const SUBPROTOCOL = "geventchat.v1";

/** @returns {Bye} how a connection ends that ends without a word */
export function lost(text = "The connection was lost.") {
  return { type: "bye", code: "lost", text, reconnect: true, after_ms: 0 };
}

/** @returns {string} the address of the server that this page is from */
export function address() {
  return `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}/ws`;
}

export class SocketLink {
  /** @type {Welcome | null} */
  welcome = null;
  /** @type {WebSocket} */
  #socket;
  /** @type {Bye | null} */
  #bye = null;
  /** @type {(bye: Bye) => void} */
  #ended;

  /**
   * @param {string} url
   * @param {Hello & {client: string, rooms: Cursors}} hello
   * @param {(event: ServerEvent) => void} heard for each event, the welcome first
   * @param {(bye: Bye) => void} ended once
   */
  constructor(url, hello, heard, ended) {
    this.#ended = ended;
    const nonce = randomKey();
    this.#socket = new WebSocket(url, SUBPROTOCOL);
    const late = setTimeout(() => this.drop("The server did not answer."), WELCOME_MS);
    this.#socket.onopen = () => this.send({ type: "hello", version: 1, nonce, ...hello });
    this.#socket.onmessage = ({ data }) => {
      const event = read(data);
      if (!event) return;
      if (event.type === "bye") this.#bye = event;
      if (event.type === "welcome") {
        if (event.nonce !== nonce) return;
        clearTimeout(late);
        this.welcome = event;
      }
      if (this.welcome || event.type === "error") heard(event);
    };
    this.#socket.onclose = () => {
      clearTimeout(late);
      this.#end(this.#bye ?? lost(this.welcome ? undefined : "The server does not answer."));
    };
  }

  /** @param {object} request */
  send(request) {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    this.#socket.send(JSON.stringify(request, (_, value) => wellFormed(value)));
  }

  /** End at once, whatever the other side does. @param {string} [text] why */
  drop(text) {
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.#end(lost(text));
  }

  /** End without a word to anybody. */
  discard() {
    this.#ended = () => {};
    this.drop();
  }

  /** @param {Bye} bye */
  #end(bye) {
    const ended = this.#ended;
    this.#ended = () => {};
    ended(bye);
  }
}

/**
 * @param {unknown} data
 * @returns {ServerEvent | null}
 */
function read(data) {
  try {
    const event = JSON.parse(String(data));
    return typeof event?.type === "string" ? event : null;
  } catch {
    return null; // not of this protocol
  }
}

/**
 * Half a surrogate pair, which input methods and pasting can leave, would make the server refuse the
 * whole frame, and forever: it could not say which message that was.
 * @param {any} value
 */
function wellFormed(value) {
  return typeof value === "string" ? (value.toWellFormed?.() ?? value) : value;
}
