"""`make soak`: ordinary life with comings and goings, after which memory must have stayed flat.

    python -m loadtests.scenarios.soak [--minutes 30] [--users 400] [options of Locust …]

Locust's users load a server of its own in the shape `soak`, a tide that takes a fifth of them away
and brings them back. For a third of the time before it they talk forty times as quickly: then the
ring of the newest posts is full and was turned over more than once, and the allocator has found its
size, which at the usual pace takes hours. The first third is left out, too. After it the memory of
the server, as a median a minute, must not grow: the exit code is 1 if it grows by more than 2 MB an
hour with 95 % confidence, or if anything failed.
"""

import argparse
import csv
import math
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import Final, NamedTuple

from loadtests.support.server import serving

WARM_UP_SHARE: Final = 1 / 3
MOST_MB_PER_HOUR: Final = 2.0
_NORMAL_95: Final = 1.96
_WARM_TALK_SECONDS: Final = 0.5


class Slope(NamedTuple):
    """How much something grows, and the interval that holds it with 95 % confidence."""

    median: float
    low: float
    high: float


def slope(points: list[tuple[float, float]]) -> Slope:
    """Return the Theil-Sen slope of points: the median of all pairs, robust against outliers.

    The interval is Sen's, from the ranks of the pairs. Raises ValueError for under four points.
    """
    count = len(points)
    if count < 4:
        raise ValueError(f"{count} minutes are not enough for a trend")
    slopes = sorted((y - x[1]) / (at - x[0]) for x, (at, y) in combinations(points, 2))
    spread = _NORMAL_95 * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    low = max(int((len(slopes) - spread) / 2), 0)
    high = min(math.ceil((len(slopes) + spread) / 2), len(slopes) - 1)
    return Slope(statistics.median(slopes), slopes[low], slopes[high])


def by_minute(rows: Iterable[dict[str, str]], after: float) -> list[tuple[float, float]]:
    """Return (hour, median memory in MB) for each minute after so many seconds."""
    minutes: dict[int, list[float]] = defaultdict(list)
    for row in rows:
        seconds = float(row["seconds"])
        if seconds >= after and row["server_memory_mb"]:
            minutes[int(seconds // 60)].append(float(row["server_memory_mb"]))
    return [(minute / 60, statistics.median(found)) for minute, found in sorted(minutes.items())]


def main() -> int:
    """Load a server, and say whether its memory stayed flat; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="make soak", description=__doc__.partition("\n")[0], allow_abbrev=False
    )
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--users", type=int, default=400)
    parser.add_argument("--host", help="a running server, which is not warmed up")
    asked, rest = parser.parse_known_args()
    seconds = asked.minutes * 60
    with tempfile.TemporaryDirectory() as folder, serving(asked.host) as host:
        load = [sys.executable, "-m", "loadtests", "--headless", "--shape", "soak", "--host", host]
        load += ["--users", f"{asked.users}"]
        if not asked.host:
            warm = ["--run-time", f"{seconds / 3:.0f}s", "--talk-seconds", f"{_WARM_TALK_SECONDS}"]
            if failed := subprocess.run([*load, *warm], check=False).returncode:
                return failed
        load += ["--run-time", f"{seconds:.0f}s", "--csv", f"{folder}/soak"]
        done = subprocess.run([*load, *rest], check=False)
        history = Path(folder, "soak_chat_history.csv")
        if not history.exists():
            return done.returncode or 1
        with history.open(newline="") as file:
            points = by_minute(csv.DictReader(file), after=seconds * WARM_UP_SHARE)
    try:
        found = slope(points)
    except ValueError as error:
        print(f"soak: {error}; use more --minutes", file=sys.stderr)
        return 2
    flat = found.low <= MOST_MB_PER_HOUR
    print(
        f"Memory went from {points[0][1]:.1f} to {points[-1][1]:.1f} MB in {len(points)} minutes "
        f"after the warm-up: {found.median:+.2f} MB per hour, 95 % confidence interval "
        f"{found.low:+.2f} to {found.high:+.2f}. It {'is flat' if flat else 'GROWS'}."
    )
    return done.returncode if flat else 1


if __name__ == "__main__":
    sys.exit(main())
