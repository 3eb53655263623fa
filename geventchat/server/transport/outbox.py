"""The outbox: what is queued for one client, bounded in bytes, flushed once a turn.

Nothing here waits but `wait_for_room`, `drained` and `finish`. Four things must hold:

1. `put`, `flush` and `send` never switch: rooms are being walked when they are called.
2. Items leave in the order they were put, each whole, whoever sends them.
3. At most one writer greenlet per socket, and only while the socket does not take what is put.
4. The queue is bounded: above the limit the client is slow, and its session is ended.
"""

import logging
from collections.abc import Callable, Iterator
from typing import Final, Protocol

import gevent
from gevent.event import Event
from gevent.queue import SimpleQueue

from geventchat.protocol.errors import INTERNAL, LOST, SLOW, Reason

ITEM_BYTES: Final = 64
"""What an item counts in addition to its length, since small ones cost more than that."""
_CHUNK_BYTES: Final = 64 << 10
"""What the writer sends at a time."""
STALLED_SECONDS: Final = 60.0
"""How long a socket may accept nothing."""


_log = logging.getLogger(__name__)


class Sink(Protocol):
    """The sending side of a link."""

    @property
    def offer(self) -> Callable[[bytes | memoryview], int]:
        """Sends what the socket takes at once; returns the number of bytes. Never waits.

        Raises OSError, and BlockingIOError, or returns 0, if that is nothing.
        """

    def send(self, data: bytes | memoryview, seconds: float) -> None:
        """Send all of it. Waits. Raises OSError, TimeoutError after seconds without progress."""


def _ignore(reason: Reason) -> None:
    """Do nothing: the session is over."""


class Outbox:
    """One client's queue. `end` is called when the client is slow or its connection is lost."""

    __slots__ = (
        "_closed",
        "_cut",
        "_empty",
        "_end",
        "_first",
        "_limit",
        "_link",
        "_offer",
        "_queue",
        "_room",
        "_writer",
        "size",
    )

    def __init__(self, link: Sink, limit: int, end: Callable[[Reason], None]) -> None:
        self._link = link
        self._offer = link.offer  # most of what is sent takes no other way
        self._limit = limit
        self._end = end
        self.size = 0
        """Bytes held, with those in the writer's hand, and ITEM_BYTES for each item."""
        # Most of the time there is at most one item, between its put and the flush of that turn;
        # the queue is made by the first client that is behind.
        self._first: bytes | memoryview | None = None
        self._queue: SimpleQueue[bytes | memoryview] | None = None
        self._writer: gevent.Greenlet[..., None] | None = None
        self._empty: Event | None = None
        self._room = 0
        """The size at which whoever waits for `_empty` goes on."""
        self._closed = False
        self._cut = False
        """Whether an item was sent in part: nothing may follow it."""

    def put(self, item: bytes | memoryview) -> None:
        """Add whole frames to what the client has still to hear. Never waits."""
        if self._closed:
            return
        size = self.size
        if not size:
            self._first = item
        elif size + len(item) + ITEM_BYTES > self._limit:
            self._closed = True
            self._end(SLOW)
            return
        else:
            if self._queue is None:
                self._queue = SimpleQueue()
            self._queue.put(item)
        self.size = size + len(item) + ITEM_BYTES

    def flush(self) -> None:
        """Send what the socket takes now; a writer sees to the rest. Never waits."""
        item = self._first
        if item is None:  # nothing new, or the writer is at it
            return
        self._first = None
        cost = len(item) + ITEM_BYTES
        if self.size > cost:
            item, cost = self._join(item, cost)
        try:
            taken = self._offer(item)
        except Exception as error:
            if not self._takes_later(error):
                return
            taken = 0
        if taken == len(item) and self.size == cost:
            self.size = 0
        else:
            self._writer = gevent.spawn(self._write, memoryview(item)[taken:], cost)

    def send(self, item: bytes | memoryview) -> None:
        """Put whole frames and flush. Never waits."""
        if self.size or self._closed:
            self.put(item)
            self.flush()
            return
        # The same as in `flush`, for one item. Nearly every delivery comes this way: without the
        # kernel, a visit with another call took 125 ns instead of 80.
        offer = self._offer
        try:
            taken = offer(item)
        except Exception as error:
            if not self._takes_later(error):
                return
            taken = 0
        if taken != len(item):
            self.size = cost = len(item) + ITEM_BYTES
            self._writer = gevent.spawn(self._write, memoryview(item)[taken:], cost)

    def wait_for_room(self, count: int, seconds: float) -> bool:
        """Wait until an item of so many bytes takes the outbox to half of its limit at most.

        Or until it is empty. Returns False if that takes longer than the seconds.
        """
        room = max(self._limit // 2 - count - ITEM_BYTES, 0)
        return self.size <= room or self._wait_until(room, seconds)

    def drained(self, seconds: float) -> bool:
        """Wait until nothing is held, for some seconds; return whether all was sent."""
        return self._wait_until(0, seconds) and not self._cut

    def _wait_until(self, size: int, seconds: float) -> bool:
        """Wait until no more than this is held, or nothing can be sent; False: it takes longer."""
        if self.size <= size or self._writer is None:
            return True
        if self._empty is None:
            self._empty = Event()
        self._empty.clear()
        self._room = size
        # More may have been put since it was as small.
        return self._empty.wait(seconds)

    def finish(self, last: bytes, *, all_of_it: bool, seconds: float) -> None:
        """Take no more; send what is held, or only the item begun, and then `last`. Waits.

        What cannot be sent within the seconds is lost.
        """
        self._closed = True
        first, self._first = self._first, None  # put, but its flush comes too late now
        if not all_of_it:
            first = None
            self._drop_queue()
        if first is not None:
            last = b"".join([first, *self._queued(), last])
        try:
            with gevent.Timeout(seconds, TimeoutError):
                if self._writer is not None:
                    self._writer.join()
                if last and not self._cut:
                    self._link.send(last, seconds)
        except OSError:
            pass  # nobody is left to hear it, or has not heard it in time
        if self._writer is not None:
            self._writer.kill()
        self._end = _ignore  # the session and its outbox would keep each other alive

    def _takes_later(self, error: Exception) -> bool:
        """Return whether the socket takes nothing now; end the session if it never will again."""
        if isinstance(error, BlockingIOError):
            return True
        if isinstance(error, OSError):
            self._break(LOST)
        else:  # a bug with this client must not keep the others from being sent to
            self._fail()
        return False

    def _break(self, reason: Reason) -> None:
        """Send no more: an item may have been sent in part."""
        self._closed = self._cut = True
        self._end(reason)

    def _fail(self) -> None:
        _log.exception("sending to a client failed")
        self._break(INTERNAL)

    def _queued(self) -> Iterator[bytes | memoryview]:
        while self._queue is not None and not self._queue.empty():
            yield self._queue.get()

    def _drop_queue(self) -> None:
        for item in self._queued():
            self.size -= len(item) + ITEM_BYTES

    def _join(self, data: bytes | memoryview, cost: int) -> tuple[bytes | memoryview, int]:
        """Join an item with those behind it, up to a chunk; what all of them count."""
        queue = self._queue
        if queue is None or queue.empty():
            return data, cost
        parts = [data]
        while cost < _CHUNK_BYTES and not queue.empty():
            item = queue.get()
            parts.append(item)
            cost += len(item) + ITEM_BYTES
        return b"".join(parts), cost

    def _write(self, hand: memoryview, cost: int) -> None:
        """Send what is in hand, then what is queued, until nothing is left."""
        try:
            while True:
                for start in range(0, len(hand), _CHUNK_BYTES):
                    self._link.send(hand[start : start + _CHUNK_BYTES], STALLED_SECONDS)
                self.size -= cost
                if self._empty is not None and self.size <= self._room:
                    self._empty.set()
                if not self.size or self._queue is None or self._queue.empty():
                    break
                item = self._queue.get()
                data, cost = self._join(item, len(item) + ITEM_BYTES)
                hand = memoryview(data)
        except OSError as error:
            self._break(SLOW if isinstance(error, TimeoutError) else LOST)
        except Exception:  # a bug; nobody else would send what is queued
            self._fail()
        finally:
            self._writer = None
            if self._empty is not None:
                self._empty.set()
