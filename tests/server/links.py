"""A link without a socket: the test decides what it accepts and what it receives."""

import errno
import math
from collections.abc import Callable, Iterator

import gevent
from gevent.event import Event
from gevent.queue import SimpleQueue

from geventchat.protocol import frames
from geventchat.protocol.errors import Reason
from geventchat.server.transport.outbox import Outbox
from geventchat.server.transport.token_bucket import TokenBucket
from geventchat.server.wire import JSON


class FakeLink:
    """Implements the contract of `Link`, and asserts that its users keep theirs.

    While one greenlet waits in `send`, no other may send: its data would land inside a frame.
    """

    address = "nowhere"
    anonymous = False
    forwards = False
    visited: Callable[[], None] | None = None
    form = JSON
    peer = "nowhere:1"
    door = "none"
    hello_first = False

    def __init__(self, room: int | None = None) -> None:
        self.room = room
        """Bytes that it accepts before it is full; None: unlimited."""
        self.taken = bytearray()
        """All accepted bytes, in order."""
        self.offered: list[bytes | memoryview] = []
        """The very objects that were passed to it."""
        self.lost = False
        self.closed = False
        self.heard = math.inf  # always recent: its slices never end, and no ping is due
        self.begun = 0.0
        self.listening = False
        self.pace: TokenBucket | None = None
        self.at_once: Callable[[bytes], bool] | None = None
        self._sending = False
        self._changed = Event()
        self._said: SimpleQueue[bytes | None] = SimpleQueue()

    @property
    def sink(self) -> "FakeLink":
        """Itself."""
        return self

    def take(self, count: int | None) -> None:
        """Accept this many more bytes, or any number."""
        self.room = None if count is None else (self.room or 0) + count
        self._changed.set()

    def lose(self) -> None:
        """Break the connection."""
        self.lost = True
        self._changed.set()
        self._said.put(None)

    def say(self, *frames: bytes) -> None:
        """Receive frames from the client."""
        for frame in frames:
            self._said.put(frame)

    def shut(self) -> None:
        """End the input from the client."""
        self._said.put(None)

    def wake(self) -> None:
        self._said.put(b"")

    def drain(self) -> None:
        self._said.put(None)

    @property
    def offer(self) -> Callable[[bytes | memoryview], int]:
        return self.try_send

    def try_send(self, data: bytes | memoryview) -> int:
        assert not self._sending, "offered while a send is going on"
        return self._take(data)

    def send(self, data: bytes | memoryview, seconds: float) -> None:
        assert not self._sending, "two send at a time"
        self._sending = True
        try:
            rest = memoryview(data)
            while rest := rest[self._take(rest) :]:
                if self.room == 0:
                    self._changed.clear()
                    with gevent.Timeout(seconds, TimeoutError):
                        self._changed.wait()
        finally:
            self._sending = False

    def open_stream(self, seconds: float) -> None:
        pass

    def open(self, seconds: float) -> None:
        pass

    def frames(self, outbox: Outbox) -> Iterator[bytes]:
        while True:
            self.listening = True
            frame = self._said.get()
            self.listening = False
            if self.lost or frame is None:
                return
            yield frame

    def farewell(self, reason: Reason) -> bytes:
        return frames.notice(reason.text)

    def end(self, reason: Reason) -> bytes:
        return b""

    def reject(self, reason: Reason) -> None:
        self.try_send(self.farewell(reason))

    def close(self, seconds: float) -> None:
        self.closed = True

    def _take(self, data: bytes | memoryview) -> int:
        if self.closed:
            raise OSError(errno.EBADF, "closed")
        if self.lost:
            raise ConnectionResetError(errno.ECONNRESET, "lost")
        self.offered.append(data)
        count = len(data) if self.room is None else min(len(data), self.room)
        if self.room is not None:
            self.room -= count
        self.taken += data[:count]
        return count
