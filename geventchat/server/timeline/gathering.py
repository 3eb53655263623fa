"""How long a turn gathers: a little longer while there is very much, which makes it cheaper.

A turn costs something however little is in it: a commit, and one write for each member. As long as
there are few messages a second, each has a turn at once.
"""

import time
from collections.abc import Callable
from typing import Final

GATHER_SECONDS: Final = 0.002
"""From the beginning of one turn to that of the next, while there are many messages."""
ENOUGH: Final = 32
"""So many messages do not wait for more: who sends that many at once waits for their verdicts."""
MANY: Final = 6_000
"""Messages a second from which on turns gather."""
WINDOW_SECONDS: Final = 0.02
"""How long they are counted for that."""


class Gathering:
    """When the next turn may begin. Nothing here waits."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._many = False
        self._began = self._since = clock()
        self._count = 0

    @property
    def seconds(self) -> float:
        """How long the next turn has still to gather; 0: it may begin."""
        if not self._many:
            return 0.0
        return max(self._began + GATHER_SECONDS - self._clock(), 0.0)

    def begin(self, count: int) -> None:
        """Note that a turn of so many messages begins."""
        self._began = now = self._clock()
        self._count += count
        passed = now - self._since
        if passed >= WINDOW_SECONDS:
            self._many = self._count >= MANY * passed
            self._since, self._count = now, 0
