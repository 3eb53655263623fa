"""How far an application has read each room, to resume there."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final

from geventchat.client.events import ClientEvent
from geventchat.client.socket_link import ServerError
from geventchat.protocol import names
from geventchat.protocol.events import FRESH, Edited, Joined, Left, Post, Redacted
from geventchat.protocol.requests import Cursor

Rooms = Mapping[str, Cursor | None] | Iterable[str]
"""Rooms and where to start in them; None, or a name alone: with the newest posts."""


class Cursors:
    """Follows the events that the application reads; checks that positions are consecutive."""

    def __init__(self, rooms: Rooms) -> None:
        if isinstance(rooms, str):  # iterates as names of one letter
            raise TypeError(f"rooms must be names, such as rooms=[{rooms!r}]")
        where = rooms if isinstance(rooms, Mapping) else dict.fromkeys(rooms)
        self.rooms: Final = {names.fold_room(room): cursor for room, cursor in where.items()}
        """By room; None until the first post after a new join."""
        self._epochs: dict[str, str] = {}
        self._begins: dict[str, Cursor] = {}  # of new joins: all replay is after it

    def resume(self) -> dict[str, Cursor | None]:
        """Return where to resume, so that no post after a Joined is missed."""
        return {room: cursor or self._begins.get(room) for room, cursor in self.rooms.items()}

    def ahead(self, unread: Iterable[ClientEvent]) -> dict[str, Cursor | None]:
        """Return where to resume once all unread events are read.

        Posts out of order are not counted, and so are requested again.
        """
        ahead = Cursors(self.rooms)
        ahead._epochs, ahead._begins = dict(self._epochs), dict(self._begins)
        for event in unread:
            with suppress(ServerError):
                ahead.hear(event)
        return ahead.resume()

    def ask(self, room: str, cursor: Cursor | None) -> None:
        """Set where to start in a room to be joined, unless it was joined already."""
        self.rooms.setdefault(names.fold_room(room), cursor)

    def forget(self, room: str) -> None:
        """Remove a room that could not be joined."""
        self.rooms.pop(names.fold_room(room), None)

    def leave(self, room: str) -> None:
        """Remove a room that was left."""
        self.rooms.pop(room, None)
        self._epochs.pop(room, None)
        self._begins.pop(room, None)

    def hear(self, event: ClientEvent) -> None:
        """Follow an event. Raises ServerError if a post is not the next one."""
        match event:
            case Post(room=room, position=position):
                self._post(room, position)
            case Joined(room=room):
                self._joined(event)
            case Edited() | Redacted():
                self._changed(event)
            case Left(room=room, id=None):
                self.leave(room)

    def _changed(self, change: Edited | Redacted) -> None:
        cursor = self.rooms.get(change.room)
        if cursor is not None:
            newest = max(change.change, cursor.change or 0)
            self.rooms[change.room] = Cursor(cursor.epoch, cursor.position, newest)

    def _joined(self, joined: Joined) -> None:
        room, epoch = joined.room, joined.epoch
        cursor = self.rooms.get(room)
        # Where nothing is replayed (resumed without loss, or joined already) the cursor stands.
        stands = joined.recovered or self._epochs.get(room) == epoch
        self._epochs[room] = epoch
        if cursor is None and joined.recovered:  # lost before its first post
            self.rooms[room] = self._begins.get(room)
        elif cursor is None or joined.recovered is False or not stands:
            # Replay begins wherever the server chooses, so nothing is known before its first post.
            # All that follows is as it is after the newest change, or tells of later ones.
            change = joined.change or None
            self.rooms[room] = None if joined.position else Cursor(epoch, 0, change)
            begins = max(joined.position - FRESH, joined.oldest - 1, 0)
            self._begins[room] = Cursor(epoch, begins, change)

    def _post(self, room: str, position: int) -> None:
        epoch = self._epochs.get(room)
        if epoch is None:
            raise ServerError(f"A post came from {room}, which was not joined.")
        cursor = self.rooms.get(room)
        if cursor is not None and position != cursor.position + 1:
            text = f"In {room}, position {position} came after {cursor.position}."
            raise ServerError(text)
        before = cursor or self._begins.get(room)
        # Not the change of this post: there may be lower ones that were not heard yet.
        self.rooms[room] = Cursor(epoch, position, before.change if before is not None else None)
