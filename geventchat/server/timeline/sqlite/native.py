"""Work in native threads: its outcome, and whether there is any."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

import gevent
from gevent.threadpool import ThreadPool

_MIN_CLOSE_SECONDS: Final = 0.1
"""How long closing waits at least for a thread."""

_T = TypeVar("_T")


def idle(pool: ThreadPool, end: float) -> bool:
    """Wait until a pool has no task, up to a monotonic time; return whether it has none."""
    try:
        with gevent.Timeout(max(end - time.monotonic(), _MIN_CLOSE_SECONDS), TimeoutError):
            pool.join()
    except TimeoutError:
        return False
    return True


def outcome_of(function: Callable[..., _T], *arguments: object) -> _T | Exception:
    """Return the result of a function, or the exception it raises.

    Native threads must not log, since the locks of logging belong to the hub; a pool would print
    the exception.
    """
    try:
        return function(*arguments)
    except Exception as error:
        return error
