"""The servers that are compared, and their commands."""

import contextlib
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from loadtests.fanout.wires import Irc, Mqtt, Nats, Plain, Redis, Rich, Wire
from loadtests.support.address import free_port
from loadtests.support.server import GEVENTCHAT, accepting


@dataclass(frozen=True)
class Server:
    """A server that can be run for a while on a port of 127.0.0.1."""

    name: str
    wire: Wire
    command: Callable[[int, Path], list[str]]
    """Returns the command for a port and a temporary folder."""
    program: str | None = None
    """Program or module that must be installed; None: only this project."""
    version: tuple[str, ...] = ("--version",)
    """The options that make the program tell its version."""

    def missing(self) -> str | None:
        """Return why it cannot run here, if it cannot."""
        if self.program is None or shutil.which(self.program) or self._module():
            return None
        return f"skipping {self.name}: {self.program} is not installed"

    def _module(self) -> bool:
        return self.program == "uvloop" and importlib.util.find_spec("uvloop") is not None

    def installed_version(self) -> str | None:
        """Return the version that the program reports."""
        if self.program is None or not shutil.which(self.program):
            return None
        ask = [self.program, *self.version]
        told = subprocess.run(ask, capture_output=True, text=True, check=False)
        found = re.search(r"\d+(\.\d+)+", told.stdout + told.stderr)
        return f"{self.program} {found[0]}" if found else None

    @contextlib.contextmanager
    def running(self, core: int | None = None) -> Iterator[tuple[int, int]]:
        """Run it, on a core if one is given; return its port and process once it accepts.

        Raises OSError if it does not.
        """
        port = free_port()
        with (
            tempfile.TemporaryDirectory() as folder,
            accepting(self.command(port, Path(folder)), port, core) as process,
        ):
            yield port, process


def _geventchat(timeline: str) -> Callable[[int, Path], list[str]]:
    def command(port: int, folder: Path) -> list[str]:
        where = timeline.replace("FOLDER", str(folder))
        return [*GEVENTCHAT, "serve", "--port", str(port), "--timeline", where]

    return command


def _reference(name: str) -> Callable[[int, Path], list[str]]:
    return lambda port, _: [sys.executable, "-m", f"loadtests.fanout.references.{name}", str(port)]


def _redis(port: int, folder: Path) -> list[str]:
    memory_only = ["--save", "", "--appendonly", "no", "--dir", str(folder)]
    where = ["--bind", "127.0.0.1", "--port", str(port)]
    return ["redis-server", *where, *memory_only, "--maxclients", "20000"]


def _nats(port: int, _: Path) -> list[str]:
    return ["nats-server", "-a", "127.0.0.1", "-p", str(port)]


def _mosquitto(port: int, folder: Path) -> list[str]:
    settings = folder / "mosquitto.conf"
    settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nlog_type none\n")
    return ["mosquitto", "-c", str(settings)]


def _ngircd(port: int, folder: Path) -> list[str]:
    settings = folder / "ngircd.conf"
    settings.write_text(
        f"[Global]\nName = irc.example.net\nInfo = fan-out\nListen = 127.0.0.1\nPorts = {port}\n"
        # Its limits would be what is measured: no delays for those who talk much, any number.
        "[Limits]\nMaxConnections = 0\nMaxConnectionsIP = 0\nMaxJoins = 0\nMaxPenaltyTime = 0\n"
        "[Options]\nDNS = no\nIdent = no\nPAM = no\n"
    )
    return ["ngircd", "-n", "-f", str(settings)]


BASE = "geventchat sqlite:, rich"
"""The baseline: the default of `geventchat serve`."""

SERVERS = (
    Server(BASE, Rich(), _geventchat("sqlite:FOLDER/bench.db")),
    Server("geventchat memory:, rich", Rich(), _geventchat("memory:")),
    Server("geventchat sqlite:, plain", Plain(), _geventchat("sqlite:FOLDER/bench.db")),
    Server("geventchat memory:, plain", Plain(), _geventchat("memory:")),
    Server("a thread per client", Plain(), _reference("threads")),
    Server("asyncio with uvloop", Plain(), _reference("uvloop_relay"), "uvloop"),
    Server("Redis pub/sub", Redis(), _redis, "redis-server"),
    Server("NATS", Nats(), _nats, "nats-server"),
    Server("Mosquitto, QoS 0", Mqtt(), _mosquitto, "mosquitto", ("-h",)),
    Server("ngIRCd", Irc(), _ngircd, "ngircd"),
)
