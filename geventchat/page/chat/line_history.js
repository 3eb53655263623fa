/** What was typed before, as a shell has it: up and down, and the draft below it all. */

const MOST = 50;

export class LineHistory {
  /** @type {string[]} oldest first */
  #lines = [];
  #at = 0;
  #draft = "";

  /** @param {string} line that was sent */
  add(line) {
    if (this.#lines.at(-1) !== line) this.#lines.push(line);
    if (this.#lines.length > MOST) this.#lines.shift();
    this.#at = this.#lines.length;
  }

  /**
   * @param {-1 | 1} step to an older line, or back
   * @param {string} shown what is in the input now
   * @returns {string | null} what is to be there; null: there is no more
   */
  move(step, shown) {
    const to = this.#at + step;
    if (to < 0 || to > this.#lines.length) return null;
    if (this.#at === this.#lines.length) this.#draft = shown;
    this.#at = to;
    return to === this.#lines.length ? this.#draft : this.#lines[to];
  }

  /** Whether an older line is shown, so that keys go on through them. */
  get isMoving() {
    return this.#at < this.#lines.length;
  }

  /** Whether the last line was a command. */
  get isCommand() {
    return /^\/[^/]/.test(this.#lines.at(-1) ?? "");
  }

  /** Begin at the end again: what is shown was changed. */
  reset() {
    this.#at = this.#lines.length;
  }
}
