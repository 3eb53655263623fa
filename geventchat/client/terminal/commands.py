"""Slash commands.

Add a command to the table at the end: /help, completion and argument parsing follow from it.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from geventchat.client.connection import Connection
from geventchat.client.terminal import formatting
from geventchat.client.terminal.admin_report import report
from geventchat.client.terminal.formatting import Line
from geventchat.client.terminal.view import View
from geventchat.protocol import durations
from geventchat.protocol.names import fold
from geventchat.protocol.requests import Action, TargetType

_SHOWN_CHARACTERS: Final = 40
"""Of an unknown command, since it may be pasted text."""


class Quit(Exception):
    """The user wants to quit."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command."""

    name: str
    arguments: str
    """In capitals, optional ones in brackets. The last takes the rest, unless it is a Kind."""
    help: str
    run: Callable[..., Iterable[Line]]
    """Called with connection, view and the arguments by name; returns lines to print.

    May wait, and raise what Connection raises.
    """

    @property
    def usage(self) -> str:
        return f"/{self.name} {self.arguments}".rstrip()

    def given(self, rest: str) -> dict[str, str] | None:
        """Parse the arguments; None if they do not match."""
        kinds = self.arguments.split()
        pattern = ""
        for kind in kinds:
            name = kind.strip("[]")
            text = r"\S.*" if kind is kinds[-1] else r"\S+"
            form = _KINDS[name].form if name in _KINDS else f"(?P<{name.lower()}>{text})"
            # Kinds match greedily, other arguments lazily.
            optional = "" if name == kind else "?" if name in _KINDS else "??"
            pattern += rf"(?:\s+{form}){optional}"
        found = re.fullmatch(rf"{pattern}\s*", f" {rest}" if kinds else "", re.DOTALL)
        return found and {name: text for name, text in found.groupdict().items() if text}


class Kind(NamedTuple):
    """An argument with a syntax of its own."""

    form: str
    """A regular expression, whose named groups are passed to the command."""
    usage: str
    help: str


def run_command(line: str, chat: Connection, view: View) -> Iterable[Line]:
    """Run a line beginning with a slash and return the lines to print. May wait.

    Raises Quit, and what Connection raises.
    """
    name, _, rest = line[1:].partition(" ")
    command = COMMANDS.get(name)
    if command is None:
        return [formatting.error(f"Unknown command /{name[:_SHOWN_CHARACTERS]}; see /help.")]
    given = command.given(rest)
    if given is None:
        needed = sum(not kind.startswith("[") for kind in command.arguments.split())
        more = len(rest.split()) < needed
        what = "Missing argument. Usage" if more else "Usage"
        forms = f"; TIME is {durations.FORMS}" if "TIME" in command.arguments else ""
        return [formatting.error(f"{what}: {command.usage}{forms}")]
    return command.run(chat, view, **given)


def _help(chat: Connection, view: View, command: str = "") -> Iterable[Line]:
    if command:
        name = command.removeprefix("/")
        if name not in COMMANDS:
            return [formatting.error(f"Unknown command /{name}.")]
        commands = [COMMANDS[name]]
    else:
        commands = list(COMMANDS.values())
    shown = [(each.usage, each.help) for each in commands]
    for name, kind in _KINDS.items():
        if any(name in each.arguments for each in commands):
            shown.append((kind.usage, kind.help))
    if not command:
        shown.append(("//TEXT", "send text that begins with a slash"))
        shown.append(("q", "quit, like Ctrl-C and Ctrl-D"))
    width = max(len(usage) for usage, _ in shown)
    return [formatting.notice(f"{usage:{width}}  {text}") for usage, text in shown]


def _nick(chat: Connection, view: View, nick: str) -> Iterable[Line]:
    chat.rename(nick)
    return []


def _join(chat: Connection, view: View, room: str) -> Iterable[Line]:
    if view.room(room) is None:
        room = chat.join(room).room
    return view.enter(room)


def _leave(chat: Connection, view: View, room: str = "") -> Iterable[Line]:
    chat.leave(room or view.current)
    return []


def _who(chat: Connection, view: View, room: str = "") -> Iterable[Line]:
    members = chat.who(room or view.current)
    view.members(members)
    nicks = ", ".join(sorted(members.nicks, key=fold))
    more = members.count - len(members.nicks)
    return [formatting.notice(f"{members.room}: {nicks}{f' and {more} more' if more > 0 else ''}")]


def _message(chat: Connection, view: View, nick: str, text: str) -> Iterable[Line]:
    chat.direct(nick, text)
    return [formatting.direct_sent(nick, text, datetime.now())]


def _history(chat: Connection, view: View, count: str = "20") -> Iterable[Line]:
    room = view.room()
    if room is None or not re.fullmatch("[0-9]{1,3}", count) or not 1 <= int(count) <= 500:
        return [formatting.error("Usage: /history [COUNT], a number from 1 to 500, in a room.")]
    history = chat.history(room.name, int(count), room.oldest)
    if not history.posts:
        return [formatting.notice("no older posts")]
    first = [formatting.separator(f"{room.name}: older posts")]
    return [
        *first,
        *view.older(room.name, history.posts),
        formatting.separator(f"{room.name}: now"),
    ]


def _rooms(chat: Connection, view: View) -> Iterable[Line]:
    for room in view.rooms.values():
        here = "current, " if room.name == view.current else ""
        unread = f", {room.unread} unread" if room.unread else ""
        topic = f": {room.topic}" if room.topic else ""
        yield formatting.notice(f"{room.name} ({here}{room.count} here{unread}){topic}")


def _topic(chat: Connection, view: View, text: str = "") -> Iterable[Line]:
    if text:
        chat.topic(view.current, text)
        return []
    room = view.room()
    return [formatting.notice(room.topic if room and room.topic else "no topic is set")]


def _ignore(chat: Connection, view: View, nick: str = "") -> Iterable[Line]:
    if not nick:
        return [formatting.notice(f"ignored: {', '.join(sorted(view.ignored)) or 'nobody'}")]
    if fold(nick) in view.ignored:
        view.ignored.remove(fold(nick))
        return [formatting.notice(f"no longer ignoring {nick}")]
    view.ignored.add(fold(nick))
    return [formatting.notice(f"ignoring {nick}; /ignore {nick} again to undo")]


def _admin_command(action: Action) -> Callable[..., Iterable[Line]]:
    """Return the command for an operator action."""

    def run(
        chat: Connection,
        view: View,
        nick: str | None = None,
        target: str | None = None,
        room: str | None = None,
        target_type: TargetType | None = None,
        time: str | None = None,
        reason: str | None = None,
    ) -> Iterable[Line]:
        if action in _OF_ROOMS:
            room = room or view.current
        last = (room if view.room(room or "") is None else "") if action in _OF_ROOMS else reason
        if last and action in _TIMED and durations.begins_like_one(last):
            text = f"{durations.shown(last)} begins like a duration and is none."
            return [formatting.error(f"{text} TIME is {durations.FORMS}.")]
        try:
            seconds = durations.seconds(time) if time else None
        except ValueError as error:
            return [formatting.error(f"{error}.")]
        done = chat.admin(
            action, nick or target or room, target_type=target_type, seconds=seconds, reason=reason
        )
        return [formatting.notice(line) for line in report(done)]

    return run


def _quit(chat: Connection, view: View) -> Iterable[Line]:
    raise Quit


_OF_ROOMS: Final = ("lock", "unlock", "freeze", "unfreeze")
_TIMED: Final = ("ban", "mute", "lock", "freeze", "close")
_KINDS: Final = {
    "TARGET": Kind(
        r"(?P<target>\S+)(?:\s+by\s+(?P<target_type>address|nick|client))?",
        "TARGET by address",
        "the user's address; or by nick, by client",
    ),
    "TIME": Kind(
        rf"(?:for\s+)?(?P<time>{durations.PATTERN})",
        "TIME",
        f"{durations.FORMS}; else until undone",
    ),
}
"""By their name in the usage of commands."""
COMMANDS: Final = {
    command.name: command
    for command in (
        Command("help", "[COMMAND]", "list commands", _help),
        Command("nick", "NICK", "change your nick", _nick),
        Command("join", "ROOM", "join a room, or switch to one you are in", _join),
        Command("leave", "[ROOM]", "leave a room; default: this one", _leave),
        Command("who", "[ROOM]", "list the members of a room", _who),
        Command("msg", "NICK TEXT", "send a direct message", _message),
        Command("history", "[COUNT]", "show older posts of this room", _history),
        Command("rooms", "", "list your rooms", _rooms),
        Command("topic", "[TEXT]", "show or set the topic of this room", _topic),
        Command("ignore", "[NICK]", "ignore a user, or stop ignoring them", _ignore),
        Command(
            "kick",
            "NICK [REASON]",
            "operators: disconnect a user",
            _admin_command("kick"),
        ),
        Command(
            "ban",
            "TARGET [TIME] [REASON]",
            "operators: ban a user or an address",
            _admin_command("ban"),
        ),
        Command("unban", "TARGET", "operators: lift a ban", _admin_command("unban")),
        Command(
            "mute",
            "TARGET [TIME] [REASON]",
            "operators: mute a user",
            _admin_command("mute"),
        ),
        Command("unmute", "TARGET", "operators: unmute a user", _admin_command("unmute")),
        Command("lock", "[ROOM] [TIME]", "operators: lock the topic", _admin_command("lock")),
        Command("unlock", "[ROOM]", "operators: unlock the topic", _admin_command("unlock")),
        Command(
            "freeze",
            "[ROOM] [TIME]",
            "operators: let only operators post",
            _admin_command("freeze"),
        ),
        Command(
            "unfreeze",
            "[ROOM]",
            "operators: let everyone post again",
            _admin_command("unfreeze"),
        ),
        Command("close", "[TIME]", "operators: refuse new users", _admin_command("close")),
        Command("open", "", "operators: accept new users again", _admin_command("open")),
        Command("rules", "", "operators: list the rules in force", _admin_command("list")),
        Command("quit", "", "quit", _quit),
    )
}
"""By name, in the order of /help."""
