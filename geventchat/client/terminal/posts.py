"""Commands about messages that were said: edit, redact, and the numbers that name them.

Each is called with connection, view and its arguments; returns lines to print. They may wait, and
raise NotUnderstood and what Connection raises.
"""

from collections.abc import Iterable
from itertools import islice
from typing import Final

from geventchat.client.connection import Connection
from geventchat.client.terminal import formatting
from geventchat.client.terminal.errors import NotUnderstood
from geventchat.client.terminal.formatting import Line
from geventchat.client.terminal.room import Room
from geventchat.client.terminal.view import View
from geventchat.protocol.events import Post
from geventchat.protocol.names import fold

_SHOWN: Final = 10
"""Messages on a page of /recent."""


def edit(chat: Connection, view: View, text: str, post: str | None = None) -> Iterable[Line]:
    """Replace the text of one's own post, by default the last."""
    room = _room_of_changes(chat, view, "edit")
    chat.edit(room.name, _position(view, room, post), text)
    return []


def redact(chat: Connection, view: View, post: str | None = None) -> Iterable[Line]:
    """Take back a post, by default one's own last."""
    room = _room_of_changes(chat, view, "redact")
    chat.redact(room.name, _position(view, room, post))
    return []


def recent(chat: Connection, view: View, nick: str = "") -> Iterable[Line]:
    """List the newest posts of a room, or of one user in it, with their numbers."""
    room = _room(view)
    newest = (each for each in room.recent.newest() if fold(each.author) == fold(nick) or not nick)
    posts: list[Post] = list(islice(newest, _SHOWN))[::-1]
    if not posts:
        said = f"{nick} has said nothing here lately" if nick else "nothing was said here lately"
        return [formatting.notice(said)]
    return [formatting.numbered(each) for each in posts]


def check_says_here(view: View) -> None:
    """Raise NotUnderstood if what is typed goes to one user alone: no room may hear it."""
    if view.partner:
        told = f"What you type goes to {view.partner} alone; /query without a nick ends that."
        raise NotUnderstood(told)


def _room_of_changes(chat: Connection, view: View, feature: str) -> Room:
    if feature not in chat.welcome.features:
        raise NotUnderstood(f"This server does not support /{feature}.")
    check_says_here(view)
    return _room(view)


def _room(view: View) -> Room:
    room = view.room()
    if room is None:
        raise NotUnderstood("You are in no room.")
    return room


def _position(view: View, room: Room, named: str | None) -> int:
    """Return the position that was meant."""
    if named is not None:
        return int(named)
    if any(saying.room == room.name for saying in view.pending.values()):
        raise NotUnderstood("Your last message is still being sent; try again in a moment.")
    last = room.recent.last_own()
    if last is None:
        raise NotUnderstood(f"You have said nothing in {room.name} lately; see /recent.")
    return last.position
