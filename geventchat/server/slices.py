"""Much work without blocking the hub: many items, or many requests that are expensive."""

import os
import time
from collections import deque
from collections.abc import Collection, Iterator
from typing import Final, TypeVar

import gevent
from gevent.event import Event

SLICE_SECONDS: Final = 0.0005
"""What work of one kind may take of a round of the loop before others have their turn."""
_SIZE: Final = 500
"""Items per slice: some 200 µs of simple work."""

_AFTER_READING: Final = -1
"""The priority of a timer that comes after what the same round has found readable.

With the same priority the timer would come first, and everything that is read a slice later.
"""

_T = TypeVar("_T")


def pause() -> None:
    """Let others have their turn: threads, too. Waits until what is readable now has been read."""
    # The thread that stores may wait for this core: it would for some milliseconds.
    os.sched_yield()
    hub = gevent.get_hub()
    timer = hub.loop.timer(0, priority=_AFTER_READING)
    try:
        hub.wait(timer)
    finally:
        timer.close()


def in_slices(items: Collection[_T], size: int = _SIZE) -> Iterator[_T]:
    """Yield the items that there are now. Waits after each slice."""
    for count, item in enumerate(list(items), start=1):
        yield item
        if not count % size:
            pause()


class RoundBudget:
    """What expensive work of many greenlets may take of one round of the event loop.

    Greenlets wait in a queue for their share, so none is overtaken: those that yielded one by one
    would all continue in the same round.
    """

    def __init__(self) -> None:
        self._round = -1
        self._began = 0.0
        """When the first work of this round began."""
        self._queue: deque[Event] = deque()
        """Those that wait; the first for the next round, each other for the one before it."""

    @property
    def busy(self) -> bool:
        """Whether there is more to do than fits in a round."""
        return bool(self._queue)

    def wait(self, seconds: float = SLICE_SECONDS) -> None:
        """Wait until others have taken less than so many seconds of the current round."""
        if not (self._queue or self._spent(seconds)):
            return
        turn = Event()
        self._queue.append(turn)
        try:
            if self._queue[0] is not turn:
                turn.wait()
            while self._spent(seconds):
                pause()
        finally:
            first = self._queue[0] is turn
            self._queue.remove(turn)
            if first and self._queue:
                self._queue[0].set()

    def _spent(self, seconds: float) -> bool:
        now, number = time.perf_counter(), gevent.get_hub().loop.iteration
        if number != self._round:
            self._round, self._began = number, now
            return False
        return now - self._began >= seconds


REQUESTS: Final = RoundBudget()
"""For requests that are expensive: hundreds of clients may send one in the same round."""
WRITERS: Final = RoundBudget()
"""For those that send what a socket did not take at once: a thousand may become ready together."""
ENDINGS: Final = RoundBudget()
"""For sessions that say goodbye: as many may be lost together."""
