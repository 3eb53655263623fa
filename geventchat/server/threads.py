"""Work that would stop the hub, done in a native thread."""

from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

import gevent

FILE_SECONDS: Final = 30.0
"""How long files may take to be read while the server runs."""

_T = TypeVar("_T")


class _Failed(NamedTuple):
    error: Exception


def in_thread(work: Callable[[], _T], seconds: float | None = None) -> _T:
    """Return what `work` returns, or raise what it raises. Waits.

    `work` must not log: the locks of logging are the hub's. Raises TimeoutError if it takes longer
    than `seconds`; it then goes on, and nobody learns of what.
    """

    def outcome() -> _T | _Failed:
        try:
            return work()
        except Exception as error:  # gevent would log it as a greenlet's death
            return _Failed(error)

    late = TimeoutError(f"reading files took longer than {seconds} s")
    with gevent.Timeout(seconds, late):
        found: _T | _Failed = gevent.get_hub().threadpool.apply(outcome)
    if isinstance(found, _Failed):
        raise found.error
    return found
