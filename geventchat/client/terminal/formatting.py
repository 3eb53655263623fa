"""Formats events and texts for the terminal.

Untrusted text (messages, nicks, topics) passes through `visible`, so that it cannot send escape
sequences to the terminal.
"""

import zlib
from datetime import date, datetime
from typing import Final

from geventchat.protocol.events import Direct, Edited, Post, Redacted
from geventchat.protocol.mentions import mentions
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

ACTION: Final = "/me "
"""What a text begins with that says what its author does, as in XEP-0245."""
_BELL: Final = ("[ZeroWidthEscape]", "\a")
_INDENT: Final = "\n" + " " * 6  # under the text, beside the time
# Medium brightness, readable on dark and on light backgrounds.
_NICK_COLOURS: Final = (
    "#d75f5f #d7875f #af8700 #87875f #5f8700 #5faf5f #00af87 #00afaf #5f87d7 #8787d7 #af5fd7 "
    "#d75faf"
).split()
_SHOWN_BEFORE: Final = 60
_SHOWN_AFTER: Final = 100
"""Characters of a text around a mention."""


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
    acts = bool(post.author) and post.text.startswith(ACTION)
    text = post.text.removeprefix(ACTION) if acts else post.text
    line = [("class:time", _clock(post.time)), ("", " "), *_author(post.author, own, acts)]
    pieces = [("", shown(text))] if own else _mentions(text.expandtabs(4), nick)
    if post.redacted:
        pieces = [("class:quiet", "(redacted)")]
    elif post.change:
        pieces.append(("class:quiet", " (edited)"))
    if bell and any(style == "class:mention" for style, _ in pieces):
        pieces.append(_BELL)
    return line + pieces


def changed(change: Edited | Redacted, post: Post | None) -> Line:
    """Format the notice of an edit or a redaction; `post` is what is known of what it changes."""
    when = f" ({_clock(post.time)})" if post is not None else ""
    if isinstance(change, Edited):
        return [*notice(f"{change.by} edited{when}: "), ("", shown(change.text))]
    whose = f" of {post.author}" if post is not None and post.author != change.by else ""
    return notice(f"{change.by} redacted a message{whose}{when}")


def numbered(post: Post) -> Line:
    """Format a post for a list, with its number and the beginning of its text."""
    first, _, more = post.text.partition("\n")
    text = one_line(first)
    cut = f"{text[:_SHOWN_AFTER]}…" if more or len(text) > _SHOWN_AFTER else text
    edited = " (edited)" if post.change else ""
    return notice(f"#{post.position} {_clock(post.time)} {post.author}: {cut}{edited}")


def direct(direct: Direct) -> Line:
    """Format a received direct message, with a bell."""
    nick = (f"class:direct {colour(direct.author)}", one_line(direct.author))
    text = ("class:direct", f" → you: {shown(_action(direct.author, direct.text))}")
    return [("class:time", _clock(direct.time)), ("", " "), nick, text, _BELL]


def left(room: str, reason: str | None) -> str:
    """Return the text that tells the user that they are no longer in a room."""
    match reason:
        case "removed":
            return f"you were removed from {room}"
        case "ended":
            return f"an operator has ended {room}"
        case "elsewhere":
            return f"you left {room} on another device"
    return f"you left {room}"


def direct_sent(to: str, text: str, now: datetime) -> Line:
    """Format a sent direct message."""
    nick = (f"class:direct {colour(to)}", one_line(to))
    text = f": {shown(_action('', text))}"
    return [("class:time", f"{now:%H:%M} "), ("class:direct", "→ "), nick, ("class:direct", text)]


def mentioned(post: Post, nick: str, room: str = "") -> Line:
    """Format the notice of a mention in another room, with its words and a bell."""
    (begin, end), *_ = mentions(post.text, nick)
    first = max(post.text.rfind("\n", 0, begin) + 1, begin - _SHOWN_BEFORE)
    words = post.text[first:].partition("\n")[0]
    cut = words[: end - first + _SHOWN_AFTER]
    before = "…" if post.text[:first].strip() else ""
    after = "…" if post.text[first + len(cut) :].strip() else ""
    text = f"{before}{cut}{after}"
    return [*notice(f"{post.author} mentioned you in {room or post.room}: {text}"), _BELL]


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


def local_time(time_ms: int) -> datetime:
    """Return the local time of a post; 1970 if it is out of range."""
    try:
        return datetime.fromtimestamp(time_ms / 1000)
    except (OverflowError, OSError, ValueError):
        return datetime.fromtimestamp(0)


def _clock(time_ms: int) -> str:
    return f"{local_time(time_ms):%H:%M}"


def _author(author: str, own: bool, acts: bool) -> Line:
    if not author:
        return []
    name = (f"class:me {colour(author)}" if own else colour(author), one_line(author))
    return [("", "* "), name, ("", " ")] if acts else [name, ("", ": ")]


def _action(author: str, text: str) -> str:
    if not text.startswith(ACTION):
        return text
    return f"* {author} {text.removeprefix(ACTION)}" if author else f"* {text.removeprefix(ACTION)}"


def _mentions(text: str, nick: str) -> Line:
    pieces, done = [], 0
    for begin, end in mentions(text, nick):
        # The full stop keeps a line break before a name from being taken for the text's last.
        before = shown(f"{text[done:begin]}.")[:-1]
        pieces += [("", before), ("class:mention", shown(text[begin:end]))]
        done = end
    return [*pieces, ("", shown(text[done:]))]
