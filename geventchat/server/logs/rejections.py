"""Counts rejected connections, and logs them in at most one line a second."""

import logging
from collections import Counter
from typing import Final

import gevent

LINE_SECONDS: Final = 1.0
"""The least time between two lines."""

_log = logging.getLogger(__name__)


class Rejections:
    """Counts rejected connections, and logs at most one line a second."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        """Rejected connections by reason, since the start."""
        self._unlogged: Counter[str] = Counter()
        self._last = ""
        self._second: gevent.Greenlet[[], None] | None = None

    def note(self, why: str, last: str) -> None:
        """Count a rejection; `last` names its address. It is logged within a second."""
        self.counts[why] += 1
        self._unlogged[why] += 1
        self._last = last
        if self._second is None:
            self._log_next()

    def close(self) -> None:
        """Log what is not logged yet, and stop."""
        if self._second is not None:
            self._second.kill(block=False)
        if self._unlogged:
            self._log()

    def _log_next(self) -> None:
        self._second = None
        if self._unlogged:
            self._second = gevent.spawn_later(LINE_SECONDS, self._log_next)
            self._log()

    def _log(self) -> None:
        number, unlogged = self._unlogged.total(), dict(self._unlogged)
        self._unlogged.clear()
        reasons = ", ".join(f"{each}={count:,}" for each, count in unlogged.items())
        many = "a connection" if number == 1 else f"{number:,} connections"
        details = {"event": "rejected", "reasons": unlogged, "last": self._last}
        text = "rejected %s (%s, last from %s)"
        _log.warning(text, many, reasons, self._last, extra={"details": details})
