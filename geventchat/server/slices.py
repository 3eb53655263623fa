"""Iterates over many items without blocking the hub."""

from collections.abc import Collection, Iterator
from typing import Final, TypeVar

import gevent

_SIZE: Final = 500
"""Items per slice: some 200 µs of simple work."""

_T = TypeVar("_T")


def in_slices(items: Collection[_T], size: int = _SIZE) -> Iterator[_T]:
    """Yield the items that there are now. Waits after each slice."""
    for count, item in enumerate(list(items), start=1):
        yield item
        if not count % size:
            gevent.sleep(1e-9)  # a timer, and timers let sockets be read first
