"""The queue of events between a connection and its application."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from gevent.event import Event as Signal
from gevent.queue import SimpleQueue

from geventchat.client.events import ClientEvent, Gap
from geventchat.protocol.events import Edited, Joined, Post, Presence, Redacted, Topic, Typing

MAX_UNREAD_BYTES: Final = 1 << 20
MAX_BEFORE_ANSWER_BYTES: Final = 32 << 20
"""More than a server and two kernels buffer for one client, so more than can precede a reply."""
_OF_A_ROOM: Final = (Post, Edited, Redacted, Presence, Typing, Topic, Joined, Gap)
_ITEM_BYTES: Final = 64  # overhead per event, so that small ones count too


class Inbox:
    """Buffers about 1 MiB of events; beyond that the socket is not read.

    The bound is lifted while a caller waits for a reply, which may be behind the events. An
    application that makes more requests than it reads events eventually `overflows`.
    """

    __slots__ = ("_asking", "_ended", "_events", "_space", "_unread_bytes")

    def __init__(self) -> None:
        self._events: SimpleQueue[tuple[ClientEvent | None, int]] = SimpleQueue()
        self._unread_bytes = 0
        self._asking = 0
        self._ended = False
        self._space = Signal()

    def __len__(self) -> int:
        """Return the number of events available without waiting."""
        return self._events.qsize() - self._ended

    @property
    def overflows(self) -> bool:
        """Whether more is unread than waiting for replies can explain."""
        return self._unread_bytes > MAX_BEFORE_ANSWER_BYTES

    def put(self, event: ClientEvent | None, frame_bytes: int = 0) -> None:
        """Add an event, or None for the end. Never waits: `wait_for_space` does."""
        self._ended = event is None
        size = frame_bytes + _ITEM_BYTES
        self._unread_bytes += size
        self._events.put((event, size))

    def get(self) -> ClientEvent | None:
        """Return the oldest event, or None at the end, every time. Waits for one."""
        event, size = self._events.get()
        if event is None:
            self._events.put((None, size))
            return None
        self._unread_bytes -= size
        if self._unread_bytes <= MAX_UNREAD_BYTES:
            self._space.set()
        return event

    def unread(self) -> list[ClientEvent]:
        """Return the buffered events without removing them. Never waits."""
        return [event for event, _ in self._events.queue if event is not None]

    def drop(self, room: str) -> None:
        """Remove the unread events of a room that the application has left."""
        kept = list(self._events.queue)
        self._events.queue.clear()
        for event, size in kept:
            if isinstance(event, _OF_A_ROOM) and event.room == room:
                self._unread_bytes -= size
            else:
                self._events.queue.append((event, size))
        if self._unread_bytes <= MAX_UNREAD_BYTES:
            self._space.set()

    def wait_for_space(self) -> None:
        """Wait while the inbox is full, unless a caller waits for a reply."""
        if self._unread_bytes > MAX_UNREAD_BYTES and not self._asking:
            self._space.clear()
            self._space.wait()

    @contextmanager
    def unbounded(self) -> Iterator[None]:
        """Lift the bound within the block, while waiting for a reply."""
        self._asking += 1
        self._space.set()
        try:
            yield
        finally:
            self._asking -= 1
