"""`make capacity`: how many users this machine supports, in one sentence.

    python -m loadtests.capacity [--server HOST:PORT] [--room-size 20] [--talkers 10] …

It starts a server and doubles the users until the p99 of delivery latency exceeds the bound, or
anything is lost or fails; then it bisects until the limit is known to within a tenth, and confirms
the result on a fresh server. Locust's users talk and measure; silent users are held by a lean
process of its own, so that the server can be the bottleneck. Takes two to five minutes.

It is not a command of `geventchat`, because the package would have to import Locust.
"""

import argparse
import shlex
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil

from loadtests.capacity import report
from loadtests.capacity.climb import Step, climb, confirm, knee, limited_by
from loadtests.capacity.load import MOST_TALKERS, Load
from loadtests.support.address import Address
from loadtests.support.preflight import (
    RESERVED_DESCRIPTORS,
    CannotRun,
    check_host,
    raise_descriptor_limit,
)
from loadtests.support.server import serving
from loadtests.support.server_stats import listener

_T = TypeVar("_T")

FIRST_USERS = 4_000
_SPARE = 2 * RESERVED_DESCRIPTORS
"""Descriptors reserved for the server itself and its monitoring."""


def main() -> int:
    """Find and print the capacity; return the exit code."""
    asked = _arguments()
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM)
    )  # so that children are stopped
    try:
        finding = _find(asked)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except CannotRun as why:
        print(f"capacity: {why}", file=sys.stderr)
        return 2
    print()
    print(report.aligned([report.HEADING, *report.table([*finding.steps, *finding.confirmed])]))
    print(f"\n{finding.sentence()}")
    asked.html.write_text(report.page(finding), "utf-8")
    print(f"report with a chart: {asked.html}")
    return 0 if finding.users else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make capacity", description=(__doc__ or "").partition("\n")[0], allow_abbrev=False
    )
    number = _at_least(1)
    parser.add_argument(
        "--server", metavar="HOST:PORT", help="a running server; by default one is started"
    )
    parser.add_argument("--room-size", type=_at_least(2), default=20, help="users per room [20]")
    parser.add_argument("--talkers", type=number, help="users of a room who talk [half of it]")
    parser.add_argument(
        "--talk-seconds",
        type=float,
        default=20.0,
        help="mean seconds between messages of a talker [20]",
    )
    parser.add_argument(
        "--bound-ms", type=float, default=100.0, help="limit for delivery p99 [100]"
    )
    parser.add_argument("--most", type=number, help="maximum number of users")
    parser.add_argument("--seconds", type=number, default=8, help="measured at each step [8]")
    parser.add_argument("--html", type=Path, default=Path("capacity.html"), help="report file")
    asked = parser.parse_args()
    asked.talkers = asked.talkers or asked.room_size // 2
    if asked.talkers >= asked.room_size:
        parser.error(f"--talkers must be less than --room-size ({asked.room_size})")
    if asked.talk_seconds <= 0 or asked.bound_ms <= 0:
        parser.error("--talk-seconds and --bound-ms must be more than 0")
    return asked


def _at_least(least: int) -> Callable[[str], int]:
    def whole_number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least {least}")
        return int(text)

    return whole_number


def _find(asked: argparse.Namespace) -> report.Finding:
    size = asked.room_size
    with serving(asked.server) as host:
        check_host(host)
        most, ended_by = _most(host, asked)
        first = max(min(FIRST_USERS, most) // size, 1) * size
        steps = _run(asked, host, lambda measure: climb(measure, first, most, size, asked.bound_ms))
    found = knee(steps, asked.bound_ms)
    again: list[Step] = []
    if found:
        print(f"confirming {found:,} users on a fresh server:", flush=True)
        with serving(asked.server) as host:
            again, found = _run(
                asked, host, lambda measure: confirm(measure, found, size, asked.bound_ms)
            )
    return report.Finding(
        users=found,
        room_size=size,
        talkers=asked.talkers,
        talk_seconds=asked.talk_seconds,
        bound_ms=asked.bound_ms,
        limited_by=limited_by(steps, ended_by, asked.bound_ms),
        steps=steps,
        confirmed=again,
        command=f"python -m loadtests.capacity {shlex.join(sys.argv[1:])}".strip(),
    )


def _run(asked: argparse.Namespace, host: str, use: Callable[[Callable[[int], Step]], _T]) -> _T:
    """Load a server with users while `use` measures."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Load(
            host,
            Path(folder),
            room_size=asked.room_size,
            talkers=asked.talkers,
            talk_seconds=asked.talk_seconds,
        ) as load,
    ):

        def measure(users: int) -> Step:
            step = load.measure(users, asked.seconds)
            cells = zip(report.HEADING, report.table([step])[0], strict=True)
            print(", ".join(f"{name} {value}" for name, value in cells), flush=True)
            return step

        return use(measure)


def _most(host: str, asked: argparse.Namespace) -> tuple[int, str]:
    """Return the maximum number of users, and what limits it."""
    mine = raise_descriptor_limit() - RESERVED_DESCRIPTORS
    silent = (asked.room_size - asked.talkers) / asked.room_size
    bounds = [
        (int(mine / max(silent, 1 - silent)), "the load generator's descriptors"),
        (int(MOST_TALKERS / (1 - silent)), f"the {MOST_TALKERS:,} talkers of the load generator"),
    ]
    if asked.most:
        bounds.append((asked.most, "--most"))
    server = listener(Address.parse(host))
    if server is not None:
        limit, _ = server.rlimit(psutil.RLIMIT_NOFILE)
        bounds.append((limit - _SPARE, "the server's descriptors (`ulimit -n`)"))
    most, ended_by = min(bounds)
    if most < asked.room_size:
        raise CannotRun(
            f"only {most} users are possible, less than one room; limited by {ended_by}"
        )
    return most // asked.room_size * asked.room_size, ended_by


if __name__ == "__main__":
    sys.exit(main())
