"""What stands below the messages: those still pending, the prompt, and the toolbar."""

from typing import Final

from geventchat.client.terminal import formatting
from geventchat.client.terminal.formatting import Line
from geventchat.client.terminal.view import View
from geventchat.client.terminal.width import fit

MAX_PENDING_SHOWN: Final = 3
"""The newest of the pending messages, above the input line; of the others their number."""
PATIENCE_SECONDS: Final = 0.3
"""How long a message may be unacknowledged before it is shown as pending."""


def prompt(view: View, now: float, width: int) -> Line:
    """Return the prompt, below the messages that are still pending."""
    late = [s for s in view.pending.values() if now - s.since >= PATIENCE_SECONDS]
    line: Line = []
    if (more := len(late) - MAX_PENDING_SHOWN) > 0:
        line.append(("class:quiet", f"    … {more} more\n"))
    for saying in late[-MAX_PENDING_SHOWN:]:
        line += [*formatting.pending(saying.text, width), ("", "\n")]
    where = f"→ {view.partner}" if view.partner else view.title(view.current)
    return [*line, ("class:prompt", f"{formatting.one_line(where)}> ")]


def toolbar(view: View, width: int) -> Line:
    """Return the line at the bottom: trouble, room, nick, unread posts elsewhere.

    What does not fit `width` columns is left out; mentions come before other unread posts.
    """
    line: Line = []
    if view.trouble:
        line.append(("class:bottom-toolbar.trouble", f" {formatting.one_line(view.trouble)} "))
    if room := view.room():
        line.append(("class:bottom-toolbar.room", f" {formatting.one_line(room.title)}"))
        here = "waits for the server" if room.waits else f"{room.count} here"
        line += [("", f" · {here}")] if room.count or room.waits else []
    line += [("", f" · {formatting.one_line(view.nick)}")] if view.nick else []
    unread = [r for r in view.rooms.values() if r.unread and r.name != view.current]
    for other in sorted(unread, key=lambda room: not room.mentioned):
        style = "mentioned" if other.mentioned else "unread"
        text = f"  {formatting.one_line(other.title)} {other.unread}{'!' * other.mentioned}"
        line.append((f"class:bottom-toolbar.{style}", text))
    return fit(line, width)
