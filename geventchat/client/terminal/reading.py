"""Tells the server how far the user has read, and follows what other devices have read.

What is printed of the room that is shown counts as read.
"""

from contextlib import suppress
from typing import Final

import gevent

from geventchat.client.connection import Connection
from geventchat.client.events import ClientEvent
from geventchat.client.socket_link import Ended, ServerError
from geventchat.client.terminal.view import View
from geventchat.protocol.errors import Refused
from geventchat.protocol.events import Joined, Left, Post, Read

_LOOK_SECONDS: Final = 1
"""How often the mark of the room that is shown may move."""


class Reading:
    """Moves the read mark of the account behind what is printed."""

    def __init__(self, chat: Connection, view: View) -> None:
        self._chat = chat
        self._view = view
        self._newest: dict[str, int] = {}
        """The newest position that was heard, by room."""
        self._marked: dict[str, int] = {}

    def watch(self) -> None:
        """Move marks until killed."""
        while True:
            gevent.sleep(_LOOK_SECONDS)
            self.mark()

    def mark(self) -> None:
        """Move the mark of the room that is shown, if there is something new. Waits."""
        room = self._view.current
        newest = self._newest.get(room, 0)
        if self._chat.account is None or "marks" not in self._chat.welcome.features:
            return
        if self._view.trouble or newest <= self._marked.get(room, newest):
            return
        with suppress(Ended, Refused, TimeoutError, ServerError):
            self._marked[room] = self._chat.read(room, newest).position

    def hear(self, event: ClientEvent) -> None:
        """Note what there is to read, and what was read elsewhere. Never waits."""
        match event:
            case Joined(room=room, position=position, read=int() as read):
                self._newest[room] = position
                self._marked[room] = read
            case Left(room=room):
                self._newest.pop(room, None)
                self._marked.pop(room, None)
            case Post(room=room, position=position) if room in self._newest:
                self._newest[room] = max(self._newest[room], position)
            case Read(room=room, position=position) if room in self._marked:
                self._marked[room] = max(self._marked[room], position)
                self._follow(event)

    def _follow(self, mark: Read) -> None:
        room = self._view.rooms.get(mark.room)
        if room is not None and mark.room != self._view.current:
            room.read = max(room.read, mark.position)
            room.unread = mark.unread
            room.mentioned = bool(mark.unread if room.partner else mark.mentions)
