"""What one process of users has counted and timed, and how that is put together.

Nothing here knows Locust: a worker's tally travels to the master as plain lists and numbers.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

_GROWTH: Final = math.log(1.02)
_SHORTEST_SECONDS: Final = 1e-6


class Histogram:
    """Times in buckets that are 2 % wide: Locust's own are whole milliseconds, and 10 ms later."""

    def __init__(self, buckets: Iterable[tuple[int, int]] = ()) -> None:
        self._counts = Counter(dict(buckets))

    def add(self, seconds: float) -> None:
        """Count a time."""
        self._counts[int(math.log(max(seconds, _SHORTEST_SECONDS) / 1e-6) / _GROWTH)] += 1

    def merge(self, other: "Histogram") -> None:
        """Count what another has counted."""
        self._counts.update(other._counts)

    @property
    def count(self) -> int:
        """How many times were counted."""
        return self._counts.total()

    def quantile(self, share: float) -> float | None:
        """Give the seconds that this share of the times was within; None if there are none."""
        left = share * self.count
        for bucket, count in self.buckets():
            left -= count
            if left <= 0:
                return 1e-6 * math.exp((bucket + 0.5) * _GROWTH)
        return None

    def buckets(self) -> list[tuple[int, int]]:
        """Give what another Histogram can be made of."""
        return sorted(self._counts.items())


@dataclass
class Tally:
    """What happened since the last `take`, and how many users are connected now."""

    connected: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    """By what happened: `delivered`, `said`, and the disorders of `order.py`."""
    times: dict[str, Histogram] = field(default_factory=dict)
    """By what was timed: `acknowledged`, `heard`, `connect`, …"""
    timing: bool = True
    """False while the users leave, all at once: what they still hear is late by that alone."""

    def time(self, name: str, seconds: float) -> None:
        """Note how long something took."""
        if name not in self.times:
            self.times[name] = Histogram()
        self.times[name].add(seconds)

    def take(self) -> dict[str, Any]:
        """Give what happened since the last time, as it travels, and forget it."""
        taken = {
            "connected": self.connected,
            "counts": dict(self.counts),
            "times": {name: times.buckets() for name, times in self.times.items()},
        }
        self.counts.clear()
        self.times.clear()
        return taken

    def add(self, taken: dict[str, Any]) -> None:
        """Add what another gave; who is connected where is for the caller to know."""
        self.counts.update(taken["counts"])
        for name, buckets in taken["times"].items():
            self.times.setdefault(name, Histogram()).merge(
                Histogram((int(bucket), int(count)) for bucket, count in buckets)
            )


tally: Final = Tally()
"""That of this process, to which all its users add."""
