"""Counts rejected connections, and logs them in at most one line a second."""

import logging
from collections import Counter
from typing import Final

import gevent

LINE_SECONDS: Final = 1.0
"""How often a line may say that connections were rejected."""

_log = logging.getLogger(__name__)


class Rejections:
    """Counts those who were turned away, and logs that, at most one line a second."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        """Connections by why they were refused, since the start."""
        self._untold: Counter[str] = Counter()
        self._last = ""
        self._second: gevent.Greenlet[[], None] | None = None

    def note(self, why: str, last: str) -> None:
        """Count one that was refused, from an address; what is not told now is a second later."""
        self.counts[why] += 1
        self._untold[why] += 1
        self._last = last
        if self._second is None:
            self._tell()

    def close(self) -> None:
        """Tell what is left, and then no more."""
        if self._second is not None:
            self._second.kill(block=False)
        if self._untold:
            self._log()

    def _tell(self) -> None:
        self._second = None
        if self._untold:
            self._second = gevent.spawn_later(LINE_SECONDS, self._tell)
            self._log()

    def _log(self) -> None:
        number, untold = self._untold.total(), dict(self._untold)
        self._untold.clear()
        reasons = ", ".join(f"{each}={count:,}" for each, count in untold.items())
        many = "a connection" if number == 1 else f"{number:,} connections"
        details = {"event": "rejected", "reasons": untold, "last": self._last}
        text = "rejected %s (%s, last from %s)"
        _log.warning(text, many, reasons, self._last, extra={"details": details})
