"""A native thread for the disk: runs what it is given, in that order, and hands back the outcomes.

It must not log, since the locks of logging belong to the hub, nor touch anything of gevent's but
the watcher that wakes the event loop.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeVar

import gevent
from gevent.hub import Waiter
from gevent.monkey import get_original

_MIN_CLOSE_SECONDS: Final = 0.1
"""How long closing waits at least for a thread."""

_T = TypeVar("_T")

# The native ones, whether the process is patched or not.
_SimpleQueue: Any = get_original("queue", "SimpleQueue")
_start_thread: Any = get_original("_thread", "start_new_thread")


class NativeThread:
    """Runs functions in the order in which they were given. A thread pool costs twice as much."""

    def __init__(self) -> None:
        self._tasks: Any = _SimpleQueue()
        self._outcomes: deque[Any] = deque()
        """Of tasks that are done, until the event loop is told."""
        self._waiting: deque[Waiter[Any]] = deque()
        """Who waits for each task that is not known to be done, in their order."""
        self._done = gevent.get_hub().loop.async_()
        _start_thread(_work, (self._tasks, self._outcomes, self._done.send))

    def spawn(self, function: Callable[..., _T], *arguments: object) -> "Waiter[_T | Exception]":
        """Have a function run; its result, or the exception it raises, is what `get` returns."""
        if not self._waiting:
            self._done.start(self._tell)
        waiter: Waiter[_T | Exception] = Waiter()
        self._waiting.append(waiter)
        self._tasks.put((function, arguments))
        return waiter

    def run(self, function: Callable[..., _T], *arguments: object) -> _T | Exception:
        """Run a function; return its result, or the exception it raises. Waits."""
        return self.spawn(function, *arguments).get()

    def close(self, end: float) -> bool:
        """End the thread when it has done everything; return whether it has by a monotonic time.

        Waits.
        """
        try:
            with gevent.Timeout(max(end - time.monotonic(), _MIN_CLOSE_SECONDS), TimeoutError):
                self.run(int)  # does nothing, behind all else
        except TimeoutError:
            return False
        self._tasks.put(None)
        return True

    def _tell(self) -> None:
        while self._outcomes:
            waiter = self._waiting.popleft()
            if not self._waiting:
                self._done.stop()
            waiter.switch(self._outcomes.popleft())


def _work(tasks: Any, outcomes: deque[Any], done: Callable[[], None]) -> None:
    while (task := tasks.get()) is not None:
        function, arguments = task
        try:
            outcomes.append(function(*arguments))
        except Exception as error:
            outcomes.append(error)
        del task, function, arguments  # not kept until the next one
        done()
