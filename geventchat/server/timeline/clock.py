"""Whether the wall clock can be trusted with the age of posts: a wrong one would delete them all.

It is compared with a clock that nobody sets, and at the start with the time at which the database
was last used. A clock that is behind only deletes later, so it does no harm.
"""

import logging
import time
from typing import Final

_HOUR_MS: Final = 60 * 60 * 1000
DAY_MS: Final = 24 * _HOUR_MS
_DRIFT: Final = 0.01
"""How much faster than the steady clock the wall clock may run."""
_STEADY: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""On Linux also counts the time that a machine sleeps."""

_log = logging.getLogger(__name__)


class Clock:
    """The wall clock, and how far it is ahead of what it could be. Never waits."""

    def __init__(self, last_ms: int | None) -> None:
        """`last_ms`: when the database was last used; None: that is not known."""
        self._started_ms = self.now_ms()
        self._last_ms = self._started_ms if last_ms is None else last_ms
        self._steady_ms = _steady_ms()

    def now_ms(self) -> int:
        """Return the time that the wall clock shows."""
        return int(time.time() * 1000)

    def ahead_ms(self, away_ms: int) -> int:
        """Return how far the clock is ahead of the time expected, 0 if it can be trusted.

        `away_ms` is how long the database may have been unused before the start.
        """
        away = self._started_ms - self._last_ms
        if 0 <= away <= away_ms:
            base, tolerance = self._started_ms, _HOUR_MS
        else:  # it was in doubt then, or is behind and may be set any time
            base, tolerance = self._last_ms, away_ms
        passed = _steady_ms() - self._steady_ms
        ahead = self.now_ms() - base - passed
        return ahead if ahead > tolerance + passed * _DRIFT else 0

    def believed_ms(self, away_ms: int) -> int:
        """Return the time to remember: the one that is shown if it can be trusted."""
        least = self._last_ms + _steady_ms() - self._steady_ms
        return least if self.ahead_ms(away_ms) else max(self.now_ms(), least)

    def confirm(self) -> None:
        """Trust the clock as it is."""
        self._started_ms = self._last_ms = self.now_ms()
        self._steady_ms = _steady_ms()


def _steady_ms() -> int:
    return int(time.clock_gettime(_STEADY) * 1000)


def note_ahead(ahead_ms: int, *, was_ahead: bool) -> bool:
    """Log that the clock is ahead by so much, or is right again; return whether it is ahead."""
    ahead = bool(ahead_ms)
    if ahead and not was_ahead:
        text = (
            "the system clock is %.1f days ahead of what it can be: no message is deleted"
            " for its age until it is set back; if it is right, stop the server and run"
            " `geventchat history trim`"
        )
        _log.error(text, ahead_ms / DAY_MS)
    elif was_ahead and not ahead:
        _log.info("the system clock can be trusted again: old messages are deleted")
    return ahead
