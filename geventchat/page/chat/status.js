/** How the connection is doing, in the words of the page. */

/** @import {ClientEvent} from "../protocol" */

export class Status {
  /** @type {"joining" | "connecting" | "connected" | "away" | "silent" | "taken" | "ended"} */
  is = "joining";
  /** Why it is away, or has ended. */
  why = "";
  /** The code of the bye that ended it for good. */
  endedBy = "";
  /** When the next attempt to connect is made, in ms since 1970. */
  retryAt = 0;

  /** Whether messages are sent at once. */
  get isOnline() {
    return this.is === "connected" || this.is === "silent";
  }

  /** @param {ClientEvent} event @returns {boolean} whether it was about the connection */
  hear(event) {
    switch (event.type) {
      case "connecting":
        if (this.is !== "away") this.is = "connecting";
        this.retryAt = 0;
        return true;
      case "welcome":
        Object.assign(this, { is: "connected", why: "" });
        return true;
      case "disconnected":
        Object.assign(this, { is: "away", why: event.bye.text });
        return true;
      case "failed":
        this.retryAt = Date.now() + event.seconds * 1000;
        if (this.is === "connecting") Object.assign(this, { is: "away", why: event.why });
        return true;
      case "silent":
        if (this.is === "connected") this.is = "silent";
        return true;
      case "heard":
        if (this.is === "silent") this.is = "connected";
        return true;
      case "ended":
        if (this.is !== "taken") this.is = event.bye.code === "replaced" ? "taken" : "ended";
        Object.assign(this, { why: event.bye.text, endedBy: event.bye.code });
        return true;
      default:
        return false;
    }
  }
}
