"""`make bench`: run servers in turn on the same work; write tables and a chart.

    python -m loadtests.fanout [--quick] [--runs N] [--only TEXT …] [--work TEXT] [--write FOLDER]

A full run takes about 20 minutes, and three are the default; --quick takes about a minute. The
medians so far are written after each run, into this folder unless another one is named.
Needs Linux: it reads sockets with epoll, and CPU times from /proc.
"""

import argparse
import os
import resource
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from loadtests.fanout import chart, load, report
from loadtests.fanout.crowd import NotReady
from loadtests.fanout.servers import SERVERS, Server
from loadtests.fanout.work import Figures, Work, median
from loadtests.support.arguments import Bad, folder, whole
from loadtests.support.command import CannotRun, Parser, command

FULL = (
    Work(10, 1_000),
    Work(10, 10_000),
    Work(100, 1_000),
    Work(100, 10_000),
    Work(1_000, 100),
    Work(1_000, 1_000),
    Work(1_000, 10_000),
    Work(10_000, 10),
    Work(10_000, 100),
    Work(10_000, 500),
    Work(10, 2_500, rooms=200),
    Work(10, 20_000, rooms=200),
)
QUICK = tuple(
    replace(work, warm_seconds=0.3, seconds=1.0, ready_seconds=10.0)
    for work in (Work(10, 1_000), Work(1_000, 1_000), Work(10, 5_000, rooms=20))
)
_SPARE_FILES = 300
"""Descriptors that a server or the load needs besides its connections."""


def main() -> int:
    """Run the benchmark; return the exit code. Raises CannotRun."""
    asked = _arguments()
    if not sys.platform.startswith("linux"):
        raise CannotRun("needs Linux, for epoll and /proc")
    servers, works = _servers(asked.only), _works(QUICK if asked.quick else FULL, asked.work)
    write: Path | None = asked.write
    if write is None and not (asked.quick or asked.only or asked.work):
        try:
            write = folder(".")
        except Bad as why:
            raise CannotRun(str(why)) from None
    runs = asked.runs or (1 if asked.quick else 3)
    tables, code = "", 0
    try:
        for done, results in enumerate(_compare(works, servers, runs), start=1):
            tables = "\n\n".join(
                f"## {work}\n\n{report.table(work, outcomes)}" for work, outcomes in results.items()
            )
            finished, rest = divmod(done, len(works) * len(servers))
            if write and not rest:
                _write(write, tables, results, servers, finished)
    except OSError as error:
        print(f"bench: cannot write into {write}: {error.strerror or error}", file=sys.stderr)
        code = 1
    except (KeyboardInterrupt, BrokenProcessPool):  # Ctrl-C, whichever process was first
        print("bench: interrupted; the figures so far:", file=sys.stderr)
        code = 128 + signal.SIGINT
    print(f"\n{tables}\n\n{report.machine()}.")
    if write and not code:
        print(f"wrote {write / 'bench.md'} and {write / 'bench.svg'}")
    return code


def _arguments() -> argparse.Namespace:
    parser = Parser(
        prog="make bench", description=(__doc__ or "").partition("\n")[0], allow_abbrev=False
    )
    parser.add_argument("--quick", action="store_true", help="rough figures in about a minute")
    parser.add_argument(
        "--runs", type=whole(1), help="number of runs; medians are shown [3; quick: 1]"
    )
    parser.add_argument(
        "--only", default=[], action="append", type=str.lower, metavar="TEXT",
        help="only servers with this in the name; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--work", default="", type=str.lower, help="only work with this in its title"
    )
    parser.add_argument(
        "--write",
        metavar="FOLDER",
        type=folder,
        help="where to write bench.md and bench.svg [here; with --quick, --only, --work: nowhere]",
    )
    return parser.parse_args()


def _servers(texts: list[str]) -> list[Server]:
    """Return the installed servers with one of these in their names. Raises CannotRun."""
    servers = [each for each in SERVERS if not texts or any(t in each.name.lower() for t in texts)]
    if not servers:
        names = "; ".join(each.name for each in SERVERS)
        asked = " or ".join(map(repr, texts))
        raise CannotRun(f"no server has {asked} in its name; there are: {names}")
    for server in servers:
        if left_out := server.missing():
            print(left_out)
    servers = [server for server in servers if not server.missing()]
    if not servers:
        raise CannotRun("none of these servers is installed")
    return servers


def _works(works: tuple[Work, ...], text: str) -> list[Work]:
    """Return the works with this in their titles that can be done here. Raises CannotRun."""
    works = tuple(work for work in works if text in str(work).lower())
    if not works:
        raise CannotRun(f"no work has {text!r} in its title; titles are like: {FULL[0]}")
    works = tuple(_that_fit(works))
    if not works:
        raise CannotRun("the descriptor limit leaves no work to do; raise `ulimit -n`")
    return list(works)


def _that_fit(works: tuple[Work, ...]) -> list[Work]:
    """Raise the limit of descriptors as far as it goes; leave out the work beyond it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    fit = [work for work in works if work.connections + work.talkers + _SPARE_FILES <= most]
    for work in works:
        if work not in fit:
            print(f"skipping {work}: the descriptor limit is {most:,} (ulimit -n)")
    return fit


def _compare(
    works: list[Work], servers: list[Server], runs: int
) -> Iterator[dict[Work, dict[str, report.Outcome]]]:
    """Yield the medians so far after each measurement.

    Servers take turns, so that a slow minute affects all alike.
    """
    server_core, load_core = _cores()
    if load_core is None:
        print("only one core: server and load compete for it")
    seen: dict[tuple[Work, str], list[report.Outcome]] = {}
    total, done = runs * len(works) * len(servers), 0
    # A process that is started anew, so that nothing of this one is in it.
    with ProcessPoolExecutor(
        1, get_context("spawn"), initializer=load.prepare, initargs=(load_core,)
    ) as pool:
        for _ in range(runs):
            for work in works:
                for server in servers:
                    began = time.monotonic()
                    outcome = _measure(pool, server, (server_core, load_core), work)
                    seen.setdefault((work, server.name), []).append(outcome)
                    took = f"{time.monotonic() - began:.0f} s"
                    done += 1
                    print(f"{done}/{total}: {work}: {server.name}: {took}", file=sys.stderr)
                    yield _medians(seen)


def _cores() -> tuple[int | None, int | None]:
    """Return the core of the server and that of the load; none if they have to share one."""
    cores = sorted(os.sched_getaffinity(0))
    return (cores[0], cores[1]) if len(cores) > 1 else (None, None)


def _measure(
    pool: ProcessPoolExecutor, server: Server, cores: tuple[int | None, int | None], work: Work
) -> report.Outcome:
    if work.rooms > 1 and not server.wire.has_rooms:
        return "has only one room"
    try:
        with server.running(*cores) as (port, process):
            return pool.submit(load.measure, port, process, server.wire, work).result()
    except (NotReady, OSError) as error:
        return str(error)


def _medians(
    seen: dict[tuple[Work, str], list[report.Outcome]],
) -> dict[Work, dict[str, report.Outcome]]:
    medians: dict[Work, dict[str, report.Outcome]] = {}
    for (work, name), outcomes in seen.items():
        medians.setdefault(work, {})[name] = _merged(outcomes)
    return medians


def _merged(outcomes: list[report.Outcome]) -> report.Outcome:
    """Return the medians, or why most runs failed."""
    figures = [outcome for outcome in outcomes if isinstance(outcome, Figures)]
    failures = [outcome for outcome in outcomes if isinstance(outcome, str)]
    return median(figures) if len(figures) > len(failures) else failures[-1]


def _write(
    where: Path,
    tables: str,
    results: dict[Work, dict[str, report.Outcome]],
    servers: list[Server],
    runs: int,
) -> None:
    options = shlex.join(sys.argv[1:])
    command = f"make bench ARGS={shlex.quote(options)}" if options else "make bench"
    figures = "of one run" if runs == 1 else f"medians of {runs} runs"
    found = dict.fromkeys(server.installed_version() for server in servers)
    versions = ", ".join(filter(None, found))
    apart = "each server on one core, the load on another"
    shared = "server and load compete for the only core"
    (where / "bench.svg").write_text(chart.draw(results), "utf-8")
    (where / "bench.md").write_text(
        "# Fan-out side by side\n\n"
        f"Written by `{command}`. Figures are {figures}, in which the servers took turns.\n\n"
        f"{report.LEGEND}\n"
        f"Measured on {report.machine()}; {shared if None in _cores() else apart}.\n"
        f"Peers: {versions or 'none'}, default settings except connection limits.\n\n"
        f"![The figures as a chart](bench.svg)\n\n{tables}\n",
        "utf-8",
    )


if __name__ == "__main__":
    command("bench", main)
