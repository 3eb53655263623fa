"""`make soak`: ordinary life with comings and goings, after which memory must have stayed flat.

    python -m loadtests.scenarios.soak [--minutes 30] [--users 400] [options of Locust …]

Locust's users load a server of its own in the shape `soak`, a tide that takes a fifth of them away
and brings them back. For a third of the time before it they talk forty times as quickly: then the
ring of the newest posts is full and was turned over more than once, and the allocator has found its
size, which at the usual pace takes hours. The first third is left out, too. After it the memory of
the server, as a median a minute, must not grow: the exit code is 1 if it grows by more than 2 MB an
hour with 95 % confidence, or if anything failed.
"""

import csv
import math
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import Final, NamedTuple

from loadtests.support.address import Address
from loadtests.support.arguments import Bad, address, file_in_new_folder, positive, whole
from loadtests.support.command import Parser, command, when_ended
from loadtests.support.server import serving
from loadtests.support.server_stats import listener

WARM_UP_SHARE: Final = 1 / 3
MOST_MB_PER_HOUR: Final = 2.0
LEAST_MINUTES: Final = 6
"""Two thirds of them are four points, the fewest for a trend."""
_NORMAL_95: Final = 1.96
_WARM_TALK_SECONDS: Final = 0.5


class Slope(NamedTuple):
    """How much something grows, and the interval that holds it with 95 % confidence."""

    median: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """What the interval says of the growth that is allowed."""
        if self.low > MOST_MB_PER_HOUR:
            return "It GROWS."
        if self.high <= MOST_MB_PER_HOUR:
            return "It is flat."
        return "It is not shown to grow; a longer run would narrow the interval."


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
    parser = Parser(prog="make soak", description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument(
        "--minutes",
        type=_minutes,
        default=30,
        help=f"after the warm-up, at least {LEAST_MINUTES} [30]",
    )
    parser.add_argument("-u", "--users", type=whole(1), default=400, help="number of users [400]")
    parser.add_argument(
        "-H", "--host", metavar="HOST:PORT", type=address,
        help="a running server of this machine, which is not warmed up",
    )  # fmt: skip
    parser.add_argument("--csv", metavar="PREFIX", type=file_in_new_folder, help="keep the figures")
    asked, rest = parser.parse_known_args()
    if asked.host and listener(Address.parse(asked.host)) is None:
        parser.error(
            f"nothing on this machine that listens at {asked.host} can be looked at, "
            "so the memory of the server is not known"
        )
    web = "--web" in rest
    with tempfile.TemporaryDirectory() as folder, serving(asked.host, web=web) as host:
        prefix = asked.csv or f"{folder}/soak"
        load = [sys.executable, "-m", "loadtests", "--headless", "--shape", "soak", *rest]
        load += ["--host", host, "--users", str(asked.users)]
        if not asked.host:
            # A report in a file instead of one that could be taken for the run's.
            warm = ["--talk-seconds", f"{_WARM_TALK_SECONDS}", "--json-file", f"{folder}/warm-up"]
            if code := _run(load, asked.minutes * WARM_UP_SHARE, "warm-up", *warm):
                print("soak: the warm-up failed or was interrupted", file=sys.stderr)
                return code
        code = _run(load, asked.minutes, "run", "--csv", prefix)
        history = Path(f"{prefix}_chat_history.csv")
        if not history.exists():
            return code or 1
        with history.open(newline="") as file:
            points = by_minute(csv.DictReader(file), after=asked.minutes * 60 * WARM_UP_SHARE)
    try:
        found = slope(points)
    except ValueError as error:  # it was interrupted
        print(f"soak: {error}", file=sys.stderr)
        return code or 2
    print(
        f"Memory went from {points[0][1]:.1f} to {points[-1][1]:.1f} MB in {len(points)} minutes "
        f"after the warm-up: {found.median:+.2f} MB per hour, 95 % confidence interval "
        f"{found.low:+.2f} to {found.high:+.2f}. {found.verdict}"
    )
    return 1 if found.low > MOST_MB_PER_HOUR else code


def _minutes(text: str) -> float:
    minutes = positive(text)
    if minutes < LEAST_MINUTES:
        raise Bad(
            f"{text!r} is too short: a trend takes at least {LEAST_MINUTES} minutes, "
            "the first third of which do not count"
        )
    return minutes


def _run(load: list[str], minutes: float, name: str, *options: str) -> int:
    """Run Locust; return its exit code, or 130 if Ctrl-C ended it early."""
    end = time.localtime(time.time() + minutes * 60)
    print(f"soak: the {name} takes {minutes:.3g} minutes, until {time.strftime('%H:%M', end)}")
    sys.stdout.flush()
    with subprocess.Popen([*load, "--run-time", f"{minutes * 60:.0f}s", *options]) as process:
        interrupted: list[int] = []
        signal.signal(signal.SIGINT, lambda number, _: interrupted.append(number))
        when_ended(lambda *_: process.terminate())
        code = process.wait()
    return 128 + interrupted[0] if interrupted else code


if __name__ == "__main__":
    command("soak", main)
