"""The figures of docs/performance.md, which no change may make worse, measured again.

    python -m loadtests.scenarios.bars --tools DIR [--runs 3] [NAME ...]

DIR holds `blast` (the load generator) and `limit` (what the kernel alone costs), two C programs
that are kept beside the repository; `redis-server` is taken from the PATH. The server runs on one
core, the load on another; what is compared runs in turn; medians are printed as rows of Markdown.
"""

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from geventchat.client import Connection, Post
from loadtests.support.address import free_port
from loadtests.support.arguments import Bad, whole
from loadtests.support.command import Parser, command
from loadtests.support.server import GEVENTCHAT, accepting

SERVER_CORE, LOAD_CORE = 0, 1
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
_BY_WEB = {_WEB: "-proto ws"}

BARS = {
    "plain-100": Bar("-proto plain -n 1000 -s 100 -r 100 -d 5", ("limit", "sqlite", "memory")),
    "plain-10000": Bar("-proto plain -n 1000 -s 100 -r 10000 -d 5", ("limit", "sqlite", "memory")),
    "rich-100": Bar("-proto rich -n 1000 -s 100 -r 100 -d 5", ("sqlite", "memory")),
    "rich-1000": Bar("-proto rich -n 1000 -s 100 -r 1000 -d 5", ("sqlite", "memory")),
    "rich-10000": Bar("-proto rich -n 1000 -s 100 -r 10000 -d 5", ("sqlite", "memory")),
    "web-1000": Bar(
        "-proto rich -n 1000 -s 100 -r 1000 -d 5", ("sqlite", _WEB), aside=True, by_server=_BY_WEB
    ),
    "rooms-20000": Bar(
        "-proto rich -n 2000 -rooms 200 -s 2000 -r 20000 -d 5",
        ("memory", "redis"),
        by_server={"redis": "-proto redis"},
    ),
    "rooms-2500": Bar("-proto rich -n 2000 -rooms 200 -s 2000 -r 2500 -d 5", ("sqlite",)),
    "small-10000": Bar(
        "-proto rich -n 10 -s 10 -r 10000 -d 5",
        ("limit", "memory", "sqlite", "redis"),
        by_server={"redis": "-proto redis", "limit": "-proto plain"},
    ),
    "huge-500": Bar("-proto rich -n 10000 -s 100 -r 500 -d 8", ("sqlite",), aside=True),
    "sixteen-500": Bar("-proto rich -n 4000 -rooms 16 -s 160 -r 500 -d 8", ("sqlite",), aside=True),
    "idle-plain": Bar("-proto plain -n 5000 -s 1 -r 1 -d 1 -idle 10", ("sqlite",)),
    "idle-rich": Bar(
        "-proto rich -n 5000 -s 1 -r 1 -d 1 -idle 10", ("sqlite", _WEB), by_server=_BY_WEB
    ),
    "slow-3000": Bar(
        "-proto rich -n 1000 -s 100 -r 3000 -d 8",
        ("sqlite", "sqlite, 10 never read"),
        by_server={"sqlite, 10 never read": "-slow 10 -proto rich"},
    ),
}


@contextlib.contextmanager
def running(server: str, tools: Path) -> Iterator[tuple[int, int, int]]:
    """Run a server on its core; yield its process, port and web port once it accepts.

    Only geventchat listens on the latter.
    """
    port, web = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        serve = [*GEVENTCHAT, "serve", "--port", str(port), "--web", f"127.0.0.1:{web}"]
        serve += ["--timeline"]
        command = {
            "limit": [str(tools / "limit"), str(port)],
            "redis": ["redis-server", "--port", str(port), "--save", "", "--appendonly", "no"],
            "memory": [*serve, "memory:"],
            "sqlite": [*serve, f"sqlite:{folder}/bars.db"],
        }[server.partition(",")[0]]
        with accepting(command, port, SERVER_CORE) as process:
            yield process, port, web


def measure(bar: Bar, server: str, tools: Path) -> dict[str, float]:
    """Load a server as the bar says; return the figures."""
    load = bar.load_of(server)
    with running(server, tools) as (process, port, web):
        at = web if "-proto ws" in load else port
        command = [str(tools / "blast"), "-p", str(at), "-pid", str(process), *load.split()]
        blast = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        members = int(load.split("-n ")[1].split()[0])
        late = bystander(port, start=4 + members / 900, seconds=4) if bar.aside else {}
        output, _ = blast.communicate()
    figures = dict(pair.split("=") for pair in output.split())
    return {k: float(figures[k]) for k in (*FIGURES, "idle_cpu_cores") if k in figures} | late


def bystander(port: int, start: float, seconds: float) -> dict[str, float]:
    """Send messages in a room of its own during the load; return their latency in ms."""
    time.sleep(start)
    late = []
    with (
        Connection("127.0.0.1", port, rooms=["aside"]) as talker,
        Connection("127.0.0.1", port, rooms=["aside"]) as hearer,
    ):
        heard = (event for event in hearer if isinstance(event, Post))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            said = time.perf_counter()
            talker.send("aside", "are you there?")
            next(heard)
            late.append((time.perf_counter() - said) * 1000)
            time.sleep(0.02)
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
    if any("redis" in BARS[name].servers for name in names) and not shutil.which("redis-server"):
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
