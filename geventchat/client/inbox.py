"""What was heard and not yet read: the queue between a connection and its application."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from gevent.event import Event as Signal
from gevent.queue import SimpleQueue

from geventchat.client.events import ClientEvent

MAX_UNREAD_BYTES: Final = 1 << 20
MAX_BEFORE_ANSWER_BYTES: Final = 32 << 20
"""More than a server and two kernels hold for one client, so more than may precede an answer."""
_ITEM_BYTES: Final = 64  # what an event costs beside its frame, so that small ones count too


class Inbox:
    """Holds some 1 MiB of events; an application that does not read stops the socket, not memory.

    While somebody waits for an answer the bound is lifted, since the answer may be behind the
    events. An application that asks more than it reads `overflows` in the end.
    """

    __slots__ = ("_asking", "_ended", "_events", "_space", "_unread_bytes")

    def __init__(self) -> None:
        self._events: SimpleQueue[tuple[ClientEvent | None, int]] = SimpleQueue()
        self._unread_bytes = 0
        self._asking = 0
        self._ended = False
        self._space = Signal()

    def __len__(self) -> int:
        """Give the number of events that can be had without waiting."""
        return self._events.qsize() - self._ended

    @property
    def overflows(self) -> bool:
        """Whether more is unread than can be explained by answers that had to be waited for."""
        return self._unread_bytes > MAX_BEFORE_ANSWER_BYTES

    def put(self, event: ClientEvent | None, frame_bytes: int = 0) -> None:
        """Add an event; None: nothing follows. Never waits: `wait_for_space` does."""
        self._ended = event is None
        size = frame_bytes + _ITEM_BYTES
        self._unread_bytes += size
        self._events.put((event, size))

    def get(self) -> ClientEvent | None:
        """Give the oldest event, or None when nothing follows, every time. Waits for one."""
        event, size = self._events.get()
        if event is None:
            self._events.put((None, size))
            return None
        self._unread_bytes -= size
        if self._unread_bytes <= MAX_UNREAD_BYTES:
            self._space.set()
        return event

    def unread(self) -> list[ClientEvent]:
        """Give what `get` would give, and leave it there. Never waits."""
        return [event for event, _ in self._events.queue if event is not None]

    def wait_for_space(self) -> None:
        """Wait while too much is unread, unless somebody waits for an answer."""
        if self._unread_bytes > MAX_UNREAD_BYTES and not self._asking:
            self._space.clear()
            self._space.wait()

    @contextmanager
    def unbounded(self) -> Iterator[None]:
        """Lift the bound for as long as an answer is waited for."""
        self._asking += 1
        self._space.set()
        try:
            yield
        finally:
            self._asking -= 1
