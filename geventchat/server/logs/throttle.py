"""Rate limit of log records by kind, so that an attack cannot fill the disk."""

from collections import Counter
from copy import copy
from logging import LogRecord
from typing import Final

EACH_SECOND: Final = 10
"""Records of a kind that are all written; a kind is an event, or the text of a warning."""
_AUDIT: Final = "geventchat.audit"
_ALWAYS: Final = "message", "private_message"
"""Actions of operators are always written; refused attempts are limited."""


class Throttle:
    """Counts the records of each kind, and keeps the last one beyond the limit."""

    def __init__(self) -> None:
        self._counts: Counter[object] = Counter()
        self._last: dict[object, LogRecord] = {}

    def admits(self, record: LogRecord) -> bool:
        """Return whether to write a record; if not, it is in the next summary."""
        details = getattr(record, "details", {})
        kind = details.get("event", record.msg)
        if kind in _ALWAYS or (record.name == _AUDIT and "refused" not in details):
            return True
        self._counts[kind] += 1
        if self._counts[kind] <= EACH_SECOND:
            return True
        self._last[kind] = record
        return False

    def summary(self) -> list[LogRecord]:
        """Return a record for each kind beyond the limit, and start a new second."""
        told = [_told(last, self._counts[kind] - EACH_SECOND) for kind, last in self._last.items()]
        self._counts.clear()
        self._last.clear()
        return told


def _told(last: LogRecord, count: int) -> LogRecord:
    if count == 1:
        return last
    record = copy(last)
    record.msg = (
        f"{count:,} more like this: {last.msg}"  # formatted by the handler, which catches errors
    )
    record.details = getattr(last, "details", {}) | {"repeats": count}
    return record
