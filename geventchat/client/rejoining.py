"""Rooms that the server cannot open now: each is asked for again until it is joined.

So it is with `storage`, while a disk or an engine is away. A room that is damaged for good is asked
for twice a minute.
"""

import random
from collections.abc import Callable
from typing import Final

import gevent

FIRST_SECONDS: Final = 1.0
MAX_SECONDS: Final = 30.0


def pause(attempt: int) -> float:
    """Return the seconds to wait before an attempt, from 0: a bound that doubles, or half of it.

    In between by chance, so that the clients of a server are not in step when it is back.
    """
    most = min(FIRST_SECONDS * 2 ** min(attempt, 30), MAX_SECONDS)
    return random.uniform(most / 2, most)


class Rejoining:
    """The rooms of one connection that wait. Nothing here waits."""

    def __init__(self, join: Callable[[str], None]) -> None:
        """`join` asks for a room; it is called in a greenlet, and may wait."""
        self._join = join
        self._attempts: dict[str, int] = {}
        self._timers: dict[str, gevent.Greenlet[..., None]] = {}
        self._pausing: set[str] = set()
        """Rooms that have yet to be asked for."""

    @property
    def rooms(self) -> list[str]:
        """The rooms that wait."""
        return list(self._attempts)

    def refused(self, room: str) -> bool:
        """Ask for a room again after a pause; return whether it was waiting already."""
        if room in self._pausing:  # another request about it was refused
            return True
        attempt = self._attempts.get(room, 0)
        self._attempts[room] = attempt + 1
        self._stop(room)
        self._timers[room] = gevent.spawn_later(pause(attempt), self._ask, room)
        self._pausing.add(room)
        return attempt > 0

    def forget(self, room: str) -> bool:
        """Ask for a room no more; return whether it was waiting."""
        self._stop(room)
        return self._attempts.pop(room, None) is not None

    def clear(self) -> None:
        """Ask for no room any more: the connection has ended."""
        for room in self.rooms:
            self.forget(room)

    def _ask(self, room: str) -> None:
        self._pausing.discard(room)
        self._join(room)

    def _stop(self, room: str) -> None:
        self._pausing.discard(room)
        if (timer := self._timers.pop(room, None)) is not None:
            timer.kill(block=False)
