"""What keeps an attack from filling the disk: of one kind of log record, so many a second."""

from collections import Counter
from copy import copy
from logging import LogRecord
from typing import Final

EACH_SECOND: Final = 10
"""Records of a kind that are all written: those who come, those who leave, one warning."""
_AUDIT: Final = "geventchat.audit"
"""What operators did is all written; what others tried is as any other kind."""


class Repeats:
    """Counts the records of each kind, and keeps the last of those that are too many."""

    def __init__(self) -> None:
        self._counts: Counter[object] = Counter()
        self._last: dict[object, LogRecord] = {}

    def admits(self, record: LogRecord) -> bool:
        """Say whether a record is to be written; if not, it is in the next summary."""
        details = getattr(record, "details", {})
        kind = details.get("event", record.msg)
        if kind == "message" or (record.name == _AUDIT and "refused" not in details):
            return True
        self._counts[kind] += 1
        if self._counts[kind] <= EACH_SECOND:
            return True
        self._last[kind] = record
        return False

    def summary(self) -> list[LogRecord]:
        """Give a record for each kind of which there were too many, and begin a new second."""
        told = [_told(last, self._counts[kind] - EACH_SECOND) for kind, last in self._last.items()]
        self._counts.clear()
        self._last.clear()
        return told


def _told(last: LogRecord, count: int) -> LogRecord:
    if count == 1:
        return last
    record = copy(last)
    record.msg = f"{count:,} more like this: {last.msg}"  # formatted by who guards against errors
    record.details = getattr(last, "details", {}) | {"repeats": count}
    return record
