"""A histogram of durations, for Prometheus."""

from bisect import bisect_left
from itertools import accumulate
from typing import Final

BOUNDS: Final = (
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5,
    5, 10,
)  # fmt: skip
"""Upper bounds of the buckets, in seconds."""


class Histogram:
    """Counts durations in buckets."""

    __slots__ = ("_counts", "seconds")

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0
        """Sum of all durations."""

    def observe(self, seconds: float) -> None:
        """Add a duration."""
        self._counts[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    @property
    def count(self) -> int:
        """The number of durations."""
        return sum(self._counts)

    def buckets(self) -> list[tuple[str, float]]:
        """Return each bound, as Prometheus writes it, and the number of durations up to it."""
        names = [f"{bound:g}" for bound in BOUNDS] + ["+Inf"]
        return list(zip(names, map(float, accumulate(self._counts)), strict=True))
