"""What a user can ask for by a line that begins with a slash.

The tables at the end are all there is to it: `/help`, completion and the reading of arguments
follow from them.
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
from geventchat.protocol.names import fold
from geventchat.protocol.requests import Action, TargetType

_SHOWN_CHARACTERS: Final = 40
"""Of a command that there is not; what was typed may be a paste."""


class Quit(Exception):
    """The user has had enough."""


@dataclass(frozen=True, slots=True)
class Command:
    """One thing to ask for."""

    name: str
    arguments: str
    """In capitals; optional ones in brackets. The last takes the rest, unless it is a Kind."""
    help: str
    run: Callable[..., Iterable[Line]]
    """Called with the connection, the view and by name what was given; gives lines to print.

    It may wait, and raise what a Connection raises.
    """

    @property
    def usage(self) -> str:
        return f"/{self.name} {self.arguments}".rstrip()

    def given(self, rest: str) -> dict[str, str] | None:
        """Give the arguments that the rest of a line holds; None if it does not fit."""
        kinds = self.arguments.split()
        pattern = ""
        for kind in kinds:
            name = kind.strip("[]")
            text = r"\S.*" if kind is kinds[-1] else r"\S+"
            form = _KINDS[name].form if name in _KINDS else f"(?P<{name.lower()}>{text})"
            # What looks like one of the kinds is one, so the others give way to it.
            optional = "" if name == kind else "?" if name in _KINDS else "??"
            pattern += rf"(?:\s+{form}){optional}"
        found = re.fullmatch(rf"{pattern}\s*", f" {rest}" if kinds else "", re.DOTALL)
        return found and {name: text for name, text in found.groupdict().items() if text}


class Kind(NamedTuple):
    """An argument that is more than a word, or only some words."""

    form: str
    """A regular expression, whose groups are what the command is given."""
    usage: str
    help: str


def run_command(line: str, chat: Connection, view: View) -> Iterable[Line]:
    """Do what a line beginning with a slash asks for, and give the lines to print. May wait.

    Raises Quit, and what the connection raises.
    """
    name, _, rest = line[1:].partition(" ")
    command = COMMANDS.get(name)
    if command is None:
        return [
            formatting.error(f"There is no /{name[:_SHOWN_CHARACTERS]}. /help lists what there is.")
        ]
    given = command.given(rest)
    if given is None:
        needed = sum(not kind.startswith("[") for kind in command.arguments.split())
        more = len(rest.split()) < needed
        what = "It takes more" if more else "It does not take that"
        return [formatting.error(f"{what}: {command.usage}")]
    return command.run(chat, view, **given)


def _help(chat: Connection, view: View, command: str = "") -> Iterable[Line]:
    if command:
        name = command.removeprefix("/")
        if name not in COMMANDS:
            return [formatting.error(f"There is no /{name}.")]
        commands = [COMMANDS[name]]
    else:
        commands = list(COMMANDS.values())
    shown = [(each.usage, each.help) for each in commands]
    for name, kind in _KINDS.items():
        if any(name in each.arguments for each in commands):
            shown.append((kind.usage, kind.help))
    if not command:
        shown.append(("//TEXT", "says text that begins with a slash"))
        shown.append(("q", "quits, as do Ctrl-C and Ctrl-D"))
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
        return [formatting.error("It takes a number from 1 to 500, in a room.")]
    history = chat.history(room.name, int(count), room.oldest)
    if not history.posts:
        return [formatting.notice("nothing older is kept")]
    first = [formatting.separator(f"{room.name}, before")]
    return [
        *first,
        *view.older(room.name, history.posts),
        formatting.separator(f"{room.name}, now"),
    ]


def _rooms(chat: Connection, view: View) -> Iterable[Line]:
    for room in view.rooms.values():
        here = "this one, " if room.name == view.current else ""
        unread = f", {room.unread} unread" if room.unread else ""
        topic = f": {room.topic}" if room.topic else ""
        yield formatting.notice(f"{room.name} ({here}{room.count} here{unread}){topic}")


def _topic(chat: Connection, view: View, text: str = "") -> Iterable[Line]:
    if text:
        chat.topic(view.current, text)
        return []
    room = view.room()
    return [formatting.notice(room.topic if room and room.topic else "there is no topic")]


def _ignore(chat: Connection, view: View, nick: str = "") -> Iterable[Line]:
    if not nick:
        return [formatting.notice(f"ignored: {', '.join(sorted(view.ignored)) or 'nobody'}")]
    if fold(nick) in view.ignored:
        view.ignored.remove(fold(nick))
        return [formatting.notice(f"{nick} is heard again")]
    view.ignored.add(fold(nick))
    return [formatting.notice(f"{nick} is ignored; the same again to hear them")]


def _admin_command(action: Action) -> Callable[..., Iterable[Line]]:
    """Give the command for what an operator does."""

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
        seconds = int(time[:-1]) * _SECONDS[time[-1]] if time else None
        done = chat.admin(
            action, nick or target or room, target_type=target_type, seconds=seconds, reason=reason
        )
        return [formatting.notice(line) for line in report(done)]

    return run


def _quit(chat: Connection, view: View) -> Iterable[Line]:
    raise Quit


_OF_ROOMS: Final = ("lock", "unlock", "freeze", "unfreeze")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_KINDS: Final = {
    "TARGET": Kind(
        r"(?P<target>\S+)(?:\s+by\s+(?P<target_type>address|nick|client))?",
        "TARGET by address",
        "means the address; or by nick, by client",
    ),
    "TIME": Kind(
        r"(?P<time>[0-9]{1,12}[smhd])", "TIME", "is how long: 90s, 10m, 2h, 7d; else for ever"
    ),
}
"""By what stands for them in the usage of commands."""
COMMANDS: Final = {
    command.name: command
    for command in (
        Command("help", "[COMMAND]", "lists what there is", _help),
        Command("nick", "NICK", "takes another nick", _nick),
        Command("join", "ROOM", "joins a room, or goes to one you are in", _join),
        Command("leave", "[ROOM]", "leaves a room, by default this one", _leave),
        Command("who", "[ROOM]", "tells who is in a room", _who),
        Command("msg", "NICK TEXT", "says something to one person alone", _message),
        Command("history", "[COUNT]", "shows older posts of this room", _history),
        Command("rooms", "", "lists the rooms you are in", _rooms),
        Command("topic", "[TEXT]", "shows or sets what this room is about", _topic),
        Command("ignore", "[NICK]", "hides what somebody says, or shows it again", _ignore),
        Command(
            "kick",
            "NICK [REASON]",
            "operators: ends somebody's connections",
            _admin_command("kick"),
        ),
        Command(
            "ban", "TARGET [TIME] [REASON]", "operators: keeps somebody out", _admin_command("ban")
        ),
        Command("unban", "TARGET", "operators: lets them in again", _admin_command("unban")),
        Command(
            "mute",
            "TARGET [TIME] [REASON]",
            "operators: lets somebody only listen",
            _admin_command("mute"),
        ),
        Command("unmute", "TARGET", "operators: lets them speak again", _admin_command("unmute")),
        Command("lock", "[ROOM] [TIME]", "operators: keeps a room's topic", _admin_command("lock")),
        Command("unlock", "[ROOM]", "operators: lets all set it again", _admin_command("unlock")),
        Command(
            "freeze",
            "[ROOM] [TIME]",
            "operators: lets only operators speak",
            _admin_command("freeze"),
        ),
        Command(
            "unfreeze",
            "[ROOM]",
            "operators: lets all speak there again",
            _admin_command("unfreeze"),
        ),
        Command("close", "[TIME]", "operators: lets in nobody new", _admin_command("close")),
        Command("open", "", "operators: lets people in again", _admin_command("open")),
        Command("rules", "", "operators: lists what is forbidden", _admin_command("list")),
        Command("quit", "", "says goodbye", _quit),
    )
}
"""By name, in the order of /help."""
