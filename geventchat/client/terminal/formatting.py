"""Formats events and texts for the terminal.

Untrusted text (messages, nicks, topics) passes through `visible`, so that it cannot send escape
sequences to the terminal.
"""

import re
import zlib
from datetime import date, datetime
from functools import cache
from typing import Final

from geventchat.protocol.events import Direct, Post
from geventchat.protocol.names import fold
from geventchat.protocol.visible import visible

Line = list[tuple[str, str]]
"""Pieces of one entry: style and text. The text may contain line breaks, except at its end."""

STYLE: Final = {
    "time": "ansibrightblack",
    "quiet": "ansibrightblack",
    "problem": "ansired",
    "mention": "bold reverse",
    "me": "bold",
    "direct": "italic",
    "prompt": "bold",
    "bottom-toolbar": "noreverse ansibrightblack",
    "bottom-toolbar.room": "bold",
    "bottom-toolbar.unread": "ansiyellow",
    "bottom-toolbar.mentioned": "ansired bold",
    "bottom-toolbar.trouble": "ansired",
}
"""Styles of prompt_toolkit, by class name."""

_BELL: Final = ("[ZeroWidthEscape]", "\a")
_INDENT: Final = "\n" + " " * 6  # under the text, beside the time
# Medium brightness, readable on dark and on light backgrounds.
_NICK_COLOURS: Final = (
    "#d75f5f #d7875f #af8700 #87875f #5f8700 #5faf5f #00af87 #00afaf #5f87d7 #8787d7 #af5fd7 "
    "#d75faf"
).split()


def colour(nick: str) -> str:
    """Return the style of a nick, the same everywhere and every time."""
    return _NICK_COLOURS[zlib.crc32(fold(nick).encode(errors="replace")) % len(_NICK_COLOURS)]


def shown(text: str) -> str:
    """Escape a message, keeping its line breaks, except those at its end."""
    lines = text.rstrip("\r\n").replace("\r\n", "\n")
    return visible(lines.expandtabs(4), keep="\n").replace("\n", _INDENT)


def one_line(text: str) -> str:
    """Escape a text for one line."""
    return visible(text.rstrip("\r\n"))


def post(post: Post, *, own: bool = False, nick: str = "", bell: bool = False) -> Line:
    """Format a post; mentions of `nick` are highlighted, and ring the bell if `bell`."""
    text = shown(post.text)
    line = [("class:time", _clock(post.time)), ("", " "), *_author(post.author, own)]
    pieces = [("", text)] if own else _mentions(text, nick)
    if bell and len(pieces) > 1:
        pieces.append(_BELL)
    return line + pieces


def direct(direct: Direct) -> Line:
    """Format a received direct message, with a bell."""
    nick = (f"class:direct {colour(direct.author)}", one_line(direct.author))
    text = ("class:direct", f" → you: {shown(direct.text)}")
    return [("class:time", _clock(direct.time)), ("", " "), nick, text, _BELL]


def direct_sent(to: str, text: str, now: datetime) -> Line:
    """Format a sent direct message."""
    nick = (f"class:direct {colour(to)}", one_line(to))
    text = f": {shown(text)}"
    return [("class:time", f"{now:%H:%M} "), ("class:direct", "→ "), nick, ("class:direct", text)]


def mentioned(author: str, room: str) -> Line:
    """Format the notice of a mention in another room, with a bell."""
    return [*notice(f"{author} mentioned you in {room}"), _BELL]


def notice(text: str) -> Line:
    """Format a notice of the client."""
    return [("class:quiet", f"    · {one_line(text)}")]


def error(text: str) -> Line:
    """Format an error."""
    return [("class:problem", f"    ! {one_line(text)}")]


def separator(text: str) -> Line:
    """Format a separator with a title."""
    return [("class:quiet", f"──── {one_line(text)} ────")]


def day(day: date) -> Line:
    """Format the separator of a new day."""
    return separator(f"{day:%A}, {day.day} {day:%B %Y}")


def pending(text: str, width: int) -> Line:
    """Format a pending message, cut to less than `width` columns."""
    first, _, more = text.partition("\n")
    shown = one_line(first)
    cut = shown[: max((width - 8) // 2, 8)]  # a character may take two columns
    return [("class:quiet", f"    … {cut}{'…' if more or cut != shown else ''}")]


def mentions(text: str, nick: str) -> bool:
    """Whether a text mentions a nick."""
    return bool(nick) and _name(nick).search(text) is not None


def local_time(time_ms: int) -> datetime:
    """Return the local time of a post; 1970 if it is out of range."""
    try:
        return datetime.fromtimestamp(time_ms / 1000)
    except (OverflowError, OSError, ValueError):
        return datetime.fromtimestamp(0)


def _clock(time_ms: int) -> str:
    return f"{local_time(time_ms):%H:%M}"


def _author(author: str, own: bool) -> Line:
    if not author:
        return []
    return [(f"class:me {colour(author)}" if own else colour(author), one_line(author)), ("", ": ")]


@cache
def _name(nick: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)({re.escape(nick)})(?!\w)", re.IGNORECASE)


def _mentions(text: str, nick: str) -> Line:
    if not mentions(text, nick):
        return [("", text)]
    pieces = _name(nick).split(text)  # the names at odd places
    return [("class:mention" if i % 2 else "", piece) for i, piece in enumerate(pieces)]
