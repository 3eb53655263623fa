"""A lock that greenlets get in the order in which they ask for it.

gevent's locks go to whoever asks next, so a greenlet that asks again and again, and otherwise
waits only for the lock's owner, keeps all others waiting without an end.
"""

from collections import deque
from typing import Any

import gevent
from gevent.event import Event


class OrderedLock:
    """A lock whose owner may take it once more."""

    def __init__(self) -> None:
        self._owner: Any = None
        self._depth = 0
        self._waiting: deque[tuple[Any, Event]] = deque()

    def acquire(self, seconds: float) -> bool:
        """Take the lock, waiting for at most so many seconds; return whether it was got."""
        current = gevent.getcurrent()
        if self._owner is None or self._owner is current:
            self._owner = current
            self._depth += 1
            return True
        waiter = current, Event()
        self._waiting.append(waiter)
        came = False
        try:
            came = waiter[1].wait(seconds)
        finally:
            if not came:
                self._give_up(waiter)
        return came

    def release(self) -> None:
        """Undo one `acquire`, and pass the lock on to who waits first. Never waits."""
        self._depth -= 1
        if self._depth:
            return
        self._owner = None
        if self._waiting:
            self._owner, event = self._waiting.popleft()
            self._depth = 1
            event.set()

    def _give_up(self, waiter: tuple[Any, Event]) -> None:
        if self._owner is waiter[0]:  # it came too late
            self.release()
        else:
            self._waiting.remove(waiter)
