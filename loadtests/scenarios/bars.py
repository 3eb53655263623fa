"""The figures of docs/performance.md, which no change may make worse, measured again.

    python -m loadtests.scenarios.bars --tools DIR [--runs 3] [NAME ...]

DIR holds `blast` (the load generator) and `limit` (what the kernel alone costs), two C programs
that are kept beside the repository; `redis-server` is taken from the PATH. The server runs on one
core, the load on another; what is compared runs in turn; medians are printed as rows of Markdown.
An engine that stores for the server is on the load's core: the server has its own for itself, as it
would have where the engine is another machine.
"""

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from geventchat.client import Connection, Post
from loadtests.support.address import free_port
from loadtests.support.arguments import Bad, whole
from loadtests.support.command import Parser, command
from loadtests.support.engine import REDIS, engine
from loadtests.support.pace import paced
from loadtests.support.server import GEVENTCHAT, accepting

SERVER_CORE, LOAD_CORE = 0, 1
_READY_SECONDS = 30
_WARM_SECONDS = 1.5
"""From the first message of a load until a bystander begins."""
_ASIDE_SECONDS = 4.0
_ASIDE_EVERY_SECONDS = 0.025
FIGURES = ("arrived_pct", "cpu_us_per_delivery", "p50_ms", "p99_ms", "idle_kb_per_conn")


@dataclass(frozen=True)
class Bar:
    """One load, and the servers that take turns with it."""

    load: str
    servers: tuple[str, ...]
    aside: bool = False
    """Whether a bystander in a room of its own measures its delivery latency."""
    by_server: dict[str, str] = field(default_factory=dict)
    """What another server's load has instead of `-proto rich`."""

    def load_of(self, server: str) -> str:
        """Return the load of a server."""
        return self.load.replace("-proto rich", self.by_server.get(server, "-proto rich"))


_WEB = "sqlite, WebSocket"
_ENGINE = "on Redis"
"""The server with what it stores on Redis, fsynced before it is heard."""
_WORKERS = "two workers on Redis"
"""The same with `--workers 2`, both on the server's core: what each message costs, not how many."""
_APART = "two workers on Redis, a core each"
"""The second is on the core of the load and the engine."""
_BY_WEB = {_WEB: "-proto ws"}

_BESIDE = {"redis": "-proto redis", "limit": "-proto plain"}
"""What servers that are no chat speak."""

BARS = {
    "plain-100": Bar("-proto plain -n 1000 -s 100 -r 100 -d 5", ("limit", "sqlite", "memory")),
    "plain-10000": Bar("-proto plain -n 1000 -s 100 -r 10000 -d 5", ("limit", "sqlite", "memory")),
    "rich-100": Bar("-proto rich -n 1000 -s 100 -r 100 -d 5", ("sqlite", "memory")),
    "rich-1000": Bar(
        "-proto rich -n 1000 -s 100 -r 1000 -d 5", ("sqlite", "memory", "redis"), by_server=_BESIDE
    ),
    "rich-4000": Bar("-proto rich -n 1000 -s 100 -r 4000 -d 5", ("sqlite", _ENGINE)),
    "rich-10000": Bar("-proto rich -n 1000 -s 100 -r 10000 -d 5", ("sqlite", "memory")),
    "talkers-10000": Bar(
        "-proto rich -n 1000 -s 1000 -r 10000 -d 5",
        ("limit", "sqlite", "memory"),
        by_server=_BESIDE,
    ),
    "web-1000": Bar(
        "-proto rich -n 1000 -s 100 -r 1000 -d 5", ("sqlite", _WEB), aside=True, by_server=_BY_WEB
    ),
    "rooms-20000": Bar(
        "-proto rich -n 2000 -rooms 200 -s 2000 -r 20000 -d 5",
        ("memory", "sqlite", "redis"),
        by_server=_BESIDE,
    ),
    "rooms-5000": Bar(
        "-proto rich -n 2000 -rooms 200 -s 2000 -r 5000 -d 5",
        ("sqlite", "redis"),
        by_server=_BESIDE,
    ),
    "rooms-2500": Bar("-proto rich -n 2000 -rooms 200 -s 2000 -r 2500 -d 5", ("sqlite", _ENGINE)),
    "small-10000": Bar(
        "-proto rich -n 10 -s 10 -r 10000 -d 5",
        ("limit", "memory", "sqlite", _ENGINE, "redis"),
        by_server=_BESIDE,
    ),
    "huge-500": Bar("-proto rich -n 10000 -s 100 -r 500 -d 8", ("sqlite",), aside=True),
    "sixteen-500": Bar("-proto rich -n 4000 -rooms 16 -s 160 -r 500 -d 8", ("sqlite",), aside=True),
    # A million deliveries a second in rooms of 1,000 and 10,000; in smaller ones as many as arrive.
    "growth-10": Bar("-proto rich -n 2000 -rooms 200 -s 2000 -r 15000 -d 5", ("sqlite",)),
    "growth-100": Bar("-proto rich -n 2000 -rooms 20 -s 2000 -r 10000 -d 5", ("sqlite",)),
    "growth-1000": Bar("-proto rich -n 2000 -rooms 2 -s 2000 -r 1000 -d 5", ("sqlite",)),
    "growth-10000": Bar("-proto rich -n 10000 -s 10000 -r 100 -d 5", ("sqlite",)),
    "idle-plain": Bar("-proto plain -n 5000 -s 1 -r 1 -d 1 -idle 10", ("sqlite",)),
    "idle-rich": Bar(
        "-proto rich -n 5000 -s 1 -r 1 -d 1 -idle 10", ("sqlite", _WEB), by_server=_BY_WEB
    ),
    "idle-engine": Bar("-proto rich -n 10 -s 1 -r 1 -d 1 -idle 20", (_ENGINE,)),
    "two-workers-2500": Bar("-proto rich -n 1000 -s 100 -r 2500 -d 8", (_ENGINE, _WORKERS, _APART)),
    "two-workers-rooms-2500": Bar(
        "-proto rich -n 2000 -rooms 200 -s 2000 -r 2500 -d 8", (_ENGINE, _WORKERS, _APART)
    ),
    # What each of two workers has to do, by one server alone.
    "share-2500": Bar("-proto rich -n 500 -s 50 -r 2500 -d 8", (_ENGINE,)),
    "share-rooms-2500": Bar("-proto rich -n 1000 -rooms 200 -s 1000 -r 2500 -d 8", (_ENGINE,)),
    "slow-3000": Bar(
        "-proto rich -n 1000 -s 100 -r 3000 -d 8",
        ("sqlite", "sqlite, 10 never read"),
        by_server={"sqlite, 10 never read": "-slow 10 -proto rich"},
    ),
}


class Running(NamedTuple):
    """A server that accepts connections."""

    pids: list[int]
    """What serves clients: one process, or workers."""
    port: int
    web: int
    """Where only geventchat listens."""
    engine: int | None
    """The process of the engine that stores for it."""

    @property
    def pid(self) -> int:
        """The first of `pids`."""
        return self.pids[0]


@contextlib.contextmanager
def running(server: str, tools: Path) -> Iterator[Running]:
    """Run a server on its core; yield it once it accepts."""
    port, web, admin = free_port(), free_port(), free_port()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        on_engine = server in (_ENGINE, _WORKERS, _APART)
        store = stack.enter_context(engine(Path(folder), core=LOAD_CORE)) if on_engine else None
        serve = [*GEVENTCHAT, "serve", "--port", str(port), "--web", f"127.0.0.1:{web}"]
        serve += ["--timeline"]
        watched = ["--admin", f"127.0.0.1:{admin}"]
        command = {
            "limit": [str(tools / "limit"), str(port)],
            "redis": [REDIS, "--port", str(port), "--save", "", "--appendonly", "no"],
            "memory": [*serve, "memory:"],
            "sqlite": [*serve, f"sqlite:{folder}/bars.db"],
            _ENGINE: [*serve, store.url if store else ""],
            _WORKERS: [*serve, store.url if store else "", "--workers", "2", *watched],
        }[server.partition(",")[0]]
        process = stack.enter_context(accepting(command, port, SERVER_CORE))
        pids = workers(process, admin) if server in (_WORKERS, _APART) else [process]
        if server == _APART:
            for thread in Path(f"/proc/{pids[1]}/task").iterdir():
                os.sched_setaffinity(int(thread.name), {LOAD_CORE})
        yield Running(pids, port, web, store.pid if store else None)


def workers(parent: int, admin: int) -> list[int]:
    """Wait until all workers of a parent accept connections; return their process ids."""
    end = time.monotonic() + _READY_SECONDS
    while time.monotonic() < end:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{admin}/healthz", timeout=5),
        ):
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text()
            return [int(each) for each in children.split()]
        time.sleep(0.1)
    raise OSError("the workers are not ready in time")


def measure(bar: Bar, server: str, tools: Path) -> dict[str, float]:
    """Load a server as the bar says; return the figures."""
    load = bar.load_of(server)
    with running(server, tools) as run:
        at = run.web if "-proto ws" in load else run.port
        command = [str(tools / "blast"), "-p", str(at), "-pid", str(run.pid), *load.split()]
        began, used = time.monotonic(), cpu_seconds(run.engine)
        blast = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        late = bystander(run.port, load) if bar.aside else {}
        late |= costs(blast, run, load) if _WORKERS in bar.servers else {}
        output, _ = blast.communicate()
        if run.engine is not None:
            used = cpu_seconds(run.engine) - used
            late["engine_cores"] = used / (time.monotonic() - began)
            late["engine_us_per_message"] = used * 1e6 / messages(load)
    figures = dict(pair.split("=") for pair in output.split())
    return {k: float(figures[k]) for k in (*FIGURES, "idle_cpu_cores") if k in figures} | late


def costs(blast: "subprocess.Popen[str]", run: Running, load: str) -> dict[str, float]:
    """Return what the last seconds of a load cost each of the processes, and what the engine."""
    looks: list[list[float]] = []
    while blast.poll() is None:
        looks.append([time.monotonic(), *map(cpu_seconds, [*run.pids, run.engine])])
        time.sleep(0.05)
    options = load.split()
    rate, measured, members, rooms = (
        float(options[options.index(name) + 1]) if name in options else 1
        for name in ("-r", "-d", "-n", "-rooms")
    )
    last = [look for look in looks if look[0] <= looks[-1][0] - 0.5]
    first = next(look for look in last if look[0] >= last[-1][0] - (measured - 2))
    seconds, *used = (then - before for before, then in zip(first, last[-1], strict=True))
    *served, stored = used
    return {
        "us_per_delivery": sum(served) * 1e6 / (seconds * rate * members / rooms),
        "engine_us": stored * 1e6 / (seconds * rate),
        **{f"cores_{number}": each / seconds for number, each in enumerate(served, 1)},
    }


def messages(load: str) -> float:
    """Return how many messages a load sends, in the second before it measures too."""
    options = load.split()
    rate, seconds = (float(options[options.index(name) + 1]) for name in ("-r", "-d"))
    return rate * (seconds + 1)


def cpu_seconds(pid: int | None) -> float:
    """Return how much CPU the threads of a process have used; 0 without one."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat") if pid is not None else ()
    return sum(int(each.read_text().split()[0]) for each in threads) / 1e9


@contextlib.contextmanager
def ahead_of_the_load() -> Iterator[None]:
    """Have this process run at once when it can, if that is permitted: the load uses its core."""
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    try:
        yield
    finally:
        os.sched_setscheduler(0, *before)


@ahead_of_the_load()
def bystander(port: int, load: str) -> dict[str, float]:
    """Send messages in a room of its own while a load is under way; return their latency in ms."""
    loaded = "load0000" if "-rooms" in load else "lobby"
    with Connection("127.0.0.1", port, rooms=[loaded]) as member:
        next(event for event in member if isinstance(event, Post))
    time.sleep(_WARM_SECONDS)
    late = []
    with (
        Connection("127.0.0.1", port, rooms=["aside"]) as talker,
        Connection("127.0.0.1", port, rooms=["aside"]) as hearer,
    ):
        heard = (event for event in hearer if isinstance(event, Post))
        for said in paced(_ASIDE_EVERY_SECONDS, _ASIDE_SECONDS):
            talker.send("aside", "are you there?")
            next(heard)
            late.append((time.perf_counter() - said) * 1000)
    hundredths = statistics.quantiles(late, n=100)
    return {"aside_p50_ms": hundredths[49], "aside_p99_ms": hundredths[98]}


def tools(text: str) -> Path:
    """Return a folder with the two programs in C, for an option. Raises ArgumentTypeError."""
    for program in "blast", "limit":
        if not os.access(Path(text, program), os.X_OK):
            raise Bad(f"there is no program {program!r} in {text!r}")
    if not {SERVER_CORE, LOAD_CORE} <= os.sched_getaffinity(0):
        raise Bad("the server and the load need a core each, and there is only one")
    return Path(text)


def main() -> int:
    """Measure the named bars, or all, and print a row per server."""
    parser = Parser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tools", type=tools, required=True)
    parser.add_argument("--runs", type=whole(1), default=3)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BARS))
    asked = parser.parse_args()
    if unknown := [name for name in asked.names if name not in BARS]:
        parser.error(f"unknown bar {unknown[0]}; choose from {', '.join(BARS)}")
    names = asked.names or [*BARS]
    needs_redis = any({"redis", _ENGINE, _WORKERS} & {*BARS[name].servers} for name in names)
    if needs_redis and not shutil.which(REDIS):
        parser.error("redis-server is not installed; name the bars without it")
    os.sched_setaffinity(0, {LOAD_CORE})
    for name in names:
        bar = BARS[name]
        runs: dict[str, list[dict[str, float]]] = {server: [] for server in bar.servers}
        for _ in range(asked.runs):
            for server in bar.servers:
                print(f"{name}: {server}", file=sys.stderr)
                runs[server].append(measure(bar, server, asked.tools))
        for server, figures in runs.items():
            medians = {key: statistics.median(run[key] for run in figures) for key in figures[0]}
            row = ", ".join(f"{key} {value:.4g}" for key, value in medians.items())
            print(f"| {name} | {server} | {row} |", flush=True)
    return 0


if __name__ == "__main__":
    command("bars", main)
