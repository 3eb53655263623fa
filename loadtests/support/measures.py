"""Counters and histograms of one process of users, and how they are merged.

Independent of Locust: a worker sends its tally to the master as plain lists and numbers.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

_GROWTH: Final = math.log(1.02)
_SHORTEST_SECONDS: Final = 1e-6


class Histogram:
    """Times in buckets 2 % wide; Locust's own have a resolution of 1 to 10 ms."""

    def __init__(self, buckets: Iterable[tuple[int, int]] = ()) -> None:
        self._counts = Counter(dict(buckets))

    def add(self, seconds: float) -> None:
        """Count a time."""
        self._counts[int(math.log(max(seconds, _SHORTEST_SECONDS) / 1e-6) / _GROWTH)] += 1

    def merge(self, other: "Histogram") -> None:
        """Add the counts of another histogram."""
        self._counts.update(other._counts)

    @property
    def count(self) -> int:
        """The number of times added."""
        return self._counts.total()

    def quantile(self, share: float) -> float | None:
        """Return a quantile in seconds; None if the histogram is empty."""
        left = share * self.count
        for bucket, count in self.buckets():
            left -= count
            if left <= 0:
                return 1e-6 * math.exp((bucket + 0.5) * _GROWTH)
        return None

    def buckets(self) -> list[tuple[int, int]]:
        """Return the buckets, from which another Histogram can be made."""
        return sorted(self._counts.items())


@dataclass
class Tally:
    """Counts and times since the last `take`, and the users connected now."""

    connected: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    """By event: `delivered`, `sent`, `failures`, and the violations of `order.py`."""
    times: dict[str, Histogram] = field(default_factory=dict)
    """By name: `acknowledged`, `delivered`, `connect`, …"""
    timing: bool = True
    """False while all users disconnect at once, which delays what still arrives."""

    def time(self, name: str, seconds: float) -> None:
        """Record how long something took."""
        if name not in self.times:
            self.times[name] = Histogram()
        self.times[name].add(seconds)

    def take(self) -> dict[str, Any]:
        """Return counts and times in a form that can be sent, and reset them."""
        taken = {
            "connected": self.connected,
            "counts": dict(self.counts),
            "times": {name: times.buckets() for name, times in self.times.items()},
        }
        self.counts.clear()
        self.times.clear()
        return taken

    def add(self, taken: dict[str, Any]) -> None:
        """Add the counts and times of another tally; `connected` is left to the caller."""
        self.counts.update(taken["counts"])
        for name, buckets in taken["times"].items():
            self.times.setdefault(name, Histogram()).merge(
                Histogram((int(bucket), int(count)) for bucket, count in buckets)
            )


tally: Final = Tally()
"""The tally of this process, shared by all its users."""
