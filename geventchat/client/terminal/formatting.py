"""How things look: events and texts become formatted text, and nothing here does anything else.

What others chose (texts, nicks, topics) passes through `visible`, so none of it can act on the
terminal.
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
"""Pieces of one line: style and text. The text may hold line breaks, without one at its end."""

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
"""Class names to what prompt_toolkit makes of them."""

_BELL: Final = ("[ZeroWidthEscape]", "\a")
_INDENT: Final = "\n" + " " * 6  # under the text, beside the time
# Middling in brightness, so that they can be read on dark and on light.
_NICK_COLOURS: Final = (
    "#d75f5f #d7875f #af8700 #87875f #5f8700 #5faf5f #00af87 #00afaf #5f87d7 #8787d7 #af5fd7 "
    "#d75faf"
).split()
# Joins the parts of one emoji; alone it shows nothing, and between letters it does no harm.
_JOINER: Final = "\u200d"


def colour(nick: str) -> str:
    """Give the style of a nick: the same one every day, on every machine."""
    return _NICK_COLOURS[zlib.crc32(fold(nick).encode(errors="replace")) % len(_NICK_COLOURS)]


def shown(text: str) -> str:
    """Give a message's text as it can be shown, over as many lines as it has."""
    return visible(text.expandtabs(4), keep="\n" + _JOINER).replace("\n", _INDENT)


def one_line(text: str) -> str:
    """Give a text as it can be shown on one line."""
    return visible(text, keep=_JOINER)


def post(post: Post, *, own: bool = False, nick: str = "", bell: bool = False) -> Line:
    """Give the line of a post; where it names `nick`, that stands out, and `bell` rings for it."""
    text = shown(post.text)
    line = [("class:time", _clock(post.time)), ("", " "), *_author(post.author, own)]
    pieces = [("", text)] if own else _mentions(text, nick)
    if bell and len(pieces) > 1:
        pieces.append(_BELL)
    return line + pieces


def direct(direct: Direct) -> Line:
    """Give the line of a text for this client alone; it rings."""
    nick = (f"class:direct {colour(direct.author)}", one_line(direct.author))
    text = ("class:direct", f" → you: {shown(direct.text)}")
    return [("class:time", _clock(direct.time)), ("", " "), nick, text, _BELL]


def direct_sent(to: str, text: str, now: datetime) -> Line:
    """Give the line of a text that was sent to one nick alone."""
    nick = (f"class:direct {colour(to)}", one_line(to))
    text = f": {shown(text)}"
    return [("class:time", f"{now:%H:%M} "), ("class:direct", "→ "), nick, ("class:direct", text)]


def mentioned(author: str, room: str) -> Line:
    """Give the line for a post elsewhere that names the user; it rings."""
    return [*notice(f"{author} names you in {room}"), _BELL]


def notice(text: str) -> Line:
    """Give a line about the chat rather than in it."""
    return [("class:quiet", f"    · {one_line(text)}")]


def error(text: str) -> Line:
    """Give a line about what did not work."""
    return [("class:problem", f"    ! {one_line(text)}")]


def separator(text: str) -> Line:
    """Give the line that sets apart what follows."""
    return [("class:quiet", f"──── {one_line(text)} ────")]


def day(day: date) -> Line:
    """Give the line that stands at midnight."""
    return separator(f"{day:%A}, {day.day} {day:%B %Y}")


def pending(text: str, width: int) -> Line:
    """Give the line of what was said and is not stored yet, cut to less than `width` columns."""
    first, _, more = text.partition("\n")
    shown = one_line(first)
    cut = shown[: max((width - 8) // 2, 8)]  # a character may take two columns
    return [("class:quiet", f"    … {cut}{'…' if more or cut != shown else ''}")]


def mentions(text: str, nick: str) -> bool:
    """Say whether a text names a nick."""
    return bool(nick) and _name(nick).search(text) is not None


def local_time(time_ms: int) -> datetime:
    """Give the local time of a post, or now's closest if it cannot be told."""
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
