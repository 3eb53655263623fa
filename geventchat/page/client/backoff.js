/** How long to wait before each attempt to reconnect. */

const FIRST_SECONDS = 0.5;
const MAX_SECONDS = 30;
const MAX_RETRY_AFTER_MS = 600_000;

/** Draws from 0 to a bound that doubles, so that many clients are never in step: "full jitter". */
export class Backoff {
  #most = FIRST_SECONDS;

  /** Start over, after a connection that lasted. */
  reset() {
    this.#most = FIRST_SECONDS;
  }

  /** The seconds to wait now. */
  next() {
    const seconds = Math.random() * this.#most;
    this.#most = Math.min(2 * this.#most, MAX_SECONDS);
    return seconds;
  }
}

/**
 * The seconds that a server asked for, in a sane range.
 * @param {number} afterMs
 */
export function retryAfter(afterMs) {
  return Math.min(Math.max(afterMs, 0), MAX_RETRY_AFTER_MS) / 1000;
}
