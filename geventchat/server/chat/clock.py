"""The clock: calls once a second, and measures how late the event loop is."""

import time
from collections import deque
from collections.abc import Callable
from typing import Final

import gevent

_BEAT_SECONDS: Final = 0.1
"""How often the delay is measured: a loop that blocks for longer shows, whenever it does."""
_BEATS: Final = 10
"""Beats between two calls."""


class Clock:
    """Calls `tick` once a second with the monotonic time."""

    def __init__(self, tick: Callable[[float], None]) -> None:
        self._tick = tick
        self.delays: deque[float] = deque([0.0], 60)
        """The longest delay of the loop, in seconds, in each second of the last minute."""

    def start(self) -> "gevent.Greenlet[[], None]":
        """Spawn the greenlet and return it."""
        greenlet = gevent.spawn(self._run)
        greenlet.name = "clock"
        return greenlet

    def _run(self) -> None:
        while True:
            longest = 0.0
            for _ in range(_BEATS):
                due = time.monotonic() + _BEAT_SECONDS
                gevent.sleep(_BEAT_SECONDS)
                longest = max(longest, time.monotonic() - due)
            self.delays.append(longest)
            self._tick(time.monotonic())
