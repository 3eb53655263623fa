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
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil

from loadtests.capacity import report
from loadtests.capacity.climb import Step, at_least, climb, confirm, knee, limited_by
from loadtests.capacity.load import MOST_TALKERS, Load
from loadtests.support.address import Address
from loadtests.support.arguments import address, file, positive, whole
from loadtests.support.command import CannotRun, Parser, command
from loadtests.support.login import Login, add_login, as_arguments, for_own_server
from loadtests.support.preflight import RESERVED_DESCRIPTORS, check_host, raise_descriptor_limit
from loadtests.support.server import serving
from loadtests.support.server_stats import listener

_T = TypeVar("_T")

FIRST_USERS = 4_000
_SPARE = 2 * RESERVED_DESCRIPTORS
"""Descriptors reserved for the server itself and its monitoring."""


def main() -> int:
    """Find and print the capacity; return the exit code. Raises CannotRun."""
    asked = _arguments()
    finding = _find(asked)
    print()
    print(report.aligned([report.HEADING, *report.table([*finding.steps, *finding.confirmed])]))
    print(f"\n{finding.sentence()}")
    try:
        asked.html.write_text(report.page(finding), "utf-8")
    except OSError as error:
        print(f"capacity: {asked.html}: {error.strerror or error}", file=sys.stderr)
        return 1
    print(f"report with a chart: {asked.html}")
    return 0 if finding.users else 1


def _arguments() -> argparse.Namespace:
    parser = Parser(
        prog="make capacity", description=(__doc__ or "").partition("\n")[0], allow_abbrev=False
    )
    add = parser.add_argument
    add("--server", metavar="HOST:PORT", type=address,
        help="a running server; by default one is started")  # fmt: skip
    add("--room-size", type=whole(2), default=20, help="users per room [20]")
    add("--talkers", type=whole(1), help="users of a room who talk [half of it]")
    add("--talk-seconds", type=positive, default=20.0,
        help="mean seconds between messages of a talker [20]")  # fmt: skip
    add("--bound-ms", type=positive, default=100.0, help="limit for delivery p99 [100]")
    add("--most", type=whole(1), help="maximum number of users")
    add("--seconds", type=whole(1), default=8, help="measured at each step [8]")
    add("--html", type=file, default="capacity.html", metavar="FILE",
        help="report [capacity.html]")  # fmt: skip
    add_login(parser.add_argument_group("what the server asks for"))
    asked = parser.parse_args()
    asked.talkers = asked.talkers or asked.room_size // 2
    if asked.talkers >= asked.room_size:
        parser.error(f"--talkers must be less than --room-size ({asked.room_size})")
    return asked


def _find(asked: argparse.Namespace) -> report.Finding:
    size = asked.room_size
    own = [] if asked.server else for_own_server(asked)
    login = Login.of(asked)
    with serving(asked.server, *own, web=asked.web) as host:
        check_host(host, login)
        most, ended_by = _most(host, asked)
        first = max(min(FIRST_USERS, most) // size, 1) * size
        steps = _run(asked, host, lambda measure: climb(measure, first, most, size, asked.bound_ms))
    found = knee(steps, asked.bound_ms)
    again: list[Step] = []
    if found:
        print(f"confirming {found:,} users on a fresh server:", flush=True)
        with serving(asked.server, *own, web=asked.web) as host:
            again, found = _run(
                asked, host, lambda measure: confirm(measure, found, size, asked.bound_ms)
            )
    measured = [*steps, *again]
    return report.Finding(
        users=found,
        room_size=size,
        talkers=asked.talkers,
        talk_seconds=asked.talk_seconds,
        bound_ms=asked.bound_ms,
        limited_by=limited_by(measured, ended_by, asked.bound_ms),
        at_least=at_least(measured, asked.bound_ms),
        who="browsers" if asked.web else "users",
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
            as_arguments(asked),
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
        (int(mine / max(silent, 1 - silent)), "the load generator's descriptors ended first"),
        (
            int(MOST_TALKERS / (1 - silent)),
            f"the load generator has no more than {MOST_TALKERS:,} talkers",
        ),
    ]
    if asked.most:
        bounds.append((asked.most, "more was not asked for (--most)"))
    server = listener(Address.parse(host))
    if server is not None:
        limit, _ = server.rlimit(psutil.RLIMIT_NOFILE)
        bounds.append((limit - _SPARE, "the server's descriptors (`ulimit -n`) ended first"))
    most, ended_by = min(bounds)
    if most < asked.room_size:
        raise CannotRun(
            f"only {most} users are possible, less than one room of {asked.room_size}: {ended_by}"
        )
    return most // asked.room_size * asked.room_size, ended_by


if __name__ == "__main__":
    command("capacity", main)
