"""Runs blocking work in a native thread."""

from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

import gevent

FILE_SECONDS: Final = 30.0
"""Time limit for reading files while the server runs."""

_T = TypeVar("_T")


class _Failed(NamedTuple):
    error: Exception


def in_thread(work: Callable[[], _T], seconds: float | None = None) -> _T:
    """Run `work` in a thread; return its result or raise its exception. Waits.

    `work` must not log, since the locks of logging belong to the hub. Raises TimeoutError if it
    takes longer than `seconds`; it then goes on in the background, and its result is discarded.
    """

    def outcome() -> _T | _Failed:
        try:
            return work()
        except Exception as error:  # gevent would log it as a crashed greenlet
            return _Failed(error)

    late = TimeoutError(f"reading files took longer than {seconds} s")
    with gevent.Timeout(seconds, late):
        found: _T | _Failed = gevent.get_hub().threadpool.apply(outcome)
    if isinstance(found, _Failed):
        raise found.error
    return found
