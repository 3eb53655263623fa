"""What a user can ask for by a line that begins with a slash.

The table at the end is all there is to it: `/help`, completion and the checking of arguments
follow from it.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from geventchat.client import screen
from geventchat.client.acts import told
from geventchat.client.connection import Connection
from geventchat.client.screen import Line
from geventchat.client.window import Window
from geventchat.protocol.names import fold
from geventchat.protocol.requests import Act

_SHOWN_CHARACTERS: Final = 40
"""Of a command that there is not; what was typed may be a paste."""


class Quit(Exception):
    """The user has had enough."""


@dataclass(frozen=True, slots=True)
class Command:
    """One thing to ask for."""

    name: str
    arguments: str
    """In capitals; optional ones in brackets. The last takes the rest of the line."""
    help: str
    run: Callable[..., Iterable[Line]]
    """Called with the connection, the window and the arguments given; gives lines to print.

    It may wait, and raise what a Connection raises.
    """

    @property
    def usage(self) -> str:
        return f"/{self.name} {self.arguments}".rstrip()


def obey(line: str, chat: Connection, window: Window) -> Iterable[Line]:
    """Do what a line beginning with a slash asks for, and give the lines to print. May wait.

    Raises Quit, and what the connection raises.
    """
    name, _, rest = line[1:].partition(" ")
    command = COMMANDS.get(name)
    if command is None:
        return [
            screen.problem(f"There is no /{name[:_SHOWN_CHARACTERS]}. /help lists what there is.")
        ]
    kinds = command.arguments.split()
    words = rest.split(None, len(kinds) - 1) if kinds else []
    if len(words) < sum(not kind.startswith("[") for kind in kinds):
        return [screen.problem(f"It takes more: {command.usage}")]
    return command.run(chat, window, *words)


def _help(chat: Connection, window: Window, name: str = "") -> Iterable[Line]:
    if name:
        name = name.removeprefix("/")
        shown = [COMMANDS[name]] if name in COMMANDS else []
    else:
        shown = list(COMMANDS.values())
    width = max((len(command.usage) for command in shown), default=0)
    lines = [screen.quiet(f"{command.usage:{width}}  {command.help}") for command in shown]
    if not name:
        lines.append(screen.quiet(f"{'//TEXT':{width}}  says text that begins with a slash"))
        lines.append(screen.quiet(f"{'q':{width}}  quits, as do Ctrl-C and Ctrl-D"))
    return lines or [screen.problem(f"There is no /{name}.")]


def _nick(chat: Connection, window: Window, nick: str) -> Iterable[Line]:
    chat.rename(nick)
    return []


def _join(chat: Connection, window: Window, name: str) -> Iterable[Line]:
    if window.room(name) is None:
        name = chat.join(name).room
    return window.enter(name)


def _leave(chat: Connection, window: Window, name: str = "") -> Iterable[Line]:
    chat.leave(name or window.current)
    return []


def _who(chat: Connection, window: Window, name: str = "") -> Iterable[Line]:
    members = chat.who(name or window.current)
    window.members(members)
    nicks = ", ".join(sorted(members.nicks, key=fold))
    more = members.count - len(members.nicks)
    return [screen.quiet(f"{members.room}: {nicks}{f' and {more} more' if more > 0 else ''}")]


def _message(chat: Connection, window: Window, nick: str, text: str) -> Iterable[Line]:
    chat.direct(nick, text)
    return [screen.told(nick, text, datetime.now())]


def _history(chat: Connection, window: Window, count: str = "20") -> Iterable[Line]:
    room = window.room()
    if room is None or not re.fullmatch("[0-9]{1,3}", count) or not 1 <= int(count) <= 500:
        return [screen.problem("It takes a number from 1 to 500, in a room.")]
    history = chat.history(room.name, int(count), room.oldest)
    if not history.posts:
        return [screen.quiet("nothing older is kept")]
    first = [screen.rule(f"{room.name}, before")]
    return [*first, *window.older(room.name, history.posts), screen.rule(f"{room.name}, now")]


def _rooms(chat: Connection, window: Window) -> Iterable[Line]:
    for room in window.rooms.values():
        here = "this one, " if room.name == window.current else ""
        unread = f", {room.unread} unread" if room.unread else ""
        topic = f": {room.topic}" if room.topic else ""
        yield screen.quiet(f"{room.name} ({here}{room.count} here{unread}){topic}")


def _topic(chat: Connection, window: Window, text: str = "") -> Iterable[Line]:
    if text:
        chat.topic(window.current, text)
        return []
    room = window.room()
    return [screen.quiet(room.topic if room and room.topic else "there is no topic")]


def _ignore(chat: Connection, window: Window, nick: str = "") -> Iterable[Line]:
    if not nick:
        return [screen.quiet(f"ignored: {', '.join(sorted(window.ignored)) or 'nobody'}")]
    if fold(nick) in window.ignored:
        window.ignored.remove(fold(nick))
        return [screen.quiet(f"{nick} is heard again")]
    window.ignored.add(fold(nick))
    return [screen.quiet(f"{nick} is ignored; the same again to hear them")]


def _act(act: Act) -> Callable[..., Iterable[Line]]:
    """Give the command for what an operator does."""

    def run(
        chat: Connection, window: Window, whom: str | None = None, reason: str | None = None
    ) -> Iterable[Line]:
        if whom is None and act in _OF_ROOMS:
            whom = window.current
        return [screen.quiet(line) for line in told(chat.admin(act, whom, reason=reason))]

    return run


def _quit(chat: Connection, window: Window) -> Iterable[Line]:
    raise Quit


_OF_ROOMS: Final = ("lock", "unlock", "freeze", "thaw")
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
        Command("kick", "NICK [REASON]", "operators: ends somebody's connections", _act("kick")),
        Command("ban", "WHOM [REASON]", "operators: keeps somebody out", _act("ban")),
        Command("unban", "WHOM", "operators: lets them in again", _act("unban")),
        Command("mute", "WHOM [REASON]", "operators: lets somebody only listen", _act("mute")),
        Command("unmute", "WHOM", "operators: lets them speak again", _act("unmute")),
        Command("lock", "[ROOM]", "operators: keeps a room's topic", _act("lock")),
        Command("unlock", "[ROOM]", "operators: lets all set it again", _act("unlock")),
        Command("freeze", "[ROOM]", "operators: lets only operators speak there", _act("freeze")),
        Command("thaw", "[ROOM]", "operators: lets all speak there again", _act("thaw")),
        Command("close", "", "operators: lets in nobody new", _act("close")),
        Command("open", "", "operators: lets people in again", _act("open")),
        Command("rules", "", "operators: lists what is forbidden", _act("list")),
        Command("quit", "", "says goodbye", _quit),
    )
}
"""By name, in the order of /help."""
