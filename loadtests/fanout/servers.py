"""The servers that are compared, and their commands."""

import contextlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from loadtests.fanout.wires import (
    Irc,
    Mqtt,
    Nats,
    Plain,
    Redis,
    Rich,
    RichWeb,
    WebSocket,
    Wire,
)
from loadtests.support.address import free_port
from loadtests.support.engine import REDIS, engine
from loadtests.support.server import GEVENTCHAT, accepting


@dataclass(frozen=True)
class Server:
    """A server that can be run for a while on a port of 127.0.0.1."""

    name: str
    wire: Wire
    command: Callable[[int, Path], list[str]]
    """Returns the command for a port and a temporary folder."""
    program: str | None = None
    """Program that must be installed; None: only this project."""
    module: str | None = None
    """Python module that must be installed, with the libraries of the system that it needs."""
    version_options: tuple[str, ...] = ("--version",)
    """The options that make the program tell its version."""
    stores_on: str | None = None
    """What stands in the command for the URL of a Redis that stores for it; None: it has none."""

    def missing(self) -> str | None:
        """Return why it cannot run here, if it cannot."""
        if self.program is not None and not shutil.which(self.program):
            return f"skipping {self.name}: {self.program} is not installed"
        if self.module is not None and (why := self._broken_module()):
            return f"skipping {self.name}: {why}"
        return None

    def _broken_module(self) -> str:
        """Return why the module cannot be imported; nothing if it can."""
        ask = [sys.executable, "-c", f"import {self.module}"]
        told = subprocess.run(ask, capture_output=True, text=True, check=False)
        return told.stderr.strip().rpartition("\n")[2] if told.returncode else ""

    def installed_version(self) -> str | None:
        """Return the version that the program reports."""
        if self.module is not None and not self._broken_module():
            return f"{self.module} {version(self.module)}"
        if self.program is None or not shutil.which(self.program):
            return None
        ask = [self.program, *self.version_options]
        told = subprocess.run(ask, capture_output=True, text=True, check=False)
        found = re.search(r"\d+(\.\d+)+", told.stdout + told.stderr)
        return f"{self.program} {found[0]}" if found else None

    @contextlib.contextmanager
    def running(
        self, core: int | None = None, engine_core: int | None = None
    ) -> Iterator[tuple[int, int]]:
        """Run it, on a core if one is given; return its port and process once it accepts.

        What stores for it runs on another. Raises OSError if it does not accept.
        """
        port = free_port()
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            command = self.command(port, folder)
            if self.stores_on is not None:
                store = stack.enter_context(engine(folder, core=engine_core))
                command = [part.replace(self.stores_on, store.url) for part in command]
            yield port, stack.enter_context(accepting(command, port, core))


def _geventchat(timeline: str, *, web: bool = False) -> Callable[[int, Path], list[str]]:
    def command(port: int, folder: Path) -> list[str]:
        where = timeline.replace("FOLDER", str(folder))
        doors = ["--port", "0", "--web", f"127.0.0.1:{port}"]
        if not web:
            doors = ["--port", str(port), "--web", "127.0.0.1:0"]
        return [*GEVENTCHAT, "serve", *doors, "--timeline", where]

    return command


def _reference(name: str) -> Callable[[int, Path], list[str]]:
    return lambda port, _: [sys.executable, "-m", f"loadtests.fanout.references.{name}", str(port)]


def _redis(port: int, folder: Path) -> list[str]:
    memory_only = ["--save", "", "--appendonly", "no", "--dir", str(folder)]
    where = ["--bind", "127.0.0.1", "--port", str(port)]
    return [REDIS, *where, *memory_only, "--maxclients", "20000"]


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
    Server("geventchat redis:, rich", Rich(), _geventchat("ENGINE"), REDIS, stores_on="ENGINE"),
    Server("geventchat sqlite:, plain", Plain(), _geventchat("sqlite:FOLDER/bench.db")),
    Server("geventchat memory:, plain", Plain(), _geventchat("memory:")),
    Server(
        "geventchat sqlite:, WebSocket", RichWeb(), _geventchat("sqlite:FOLDER/bench.db", web=True)
    ),
    Server("geventchat memory:, WebSocket", RichWeb(), _geventchat("memory:", web=True)),
    Server("a thread per client", Plain(), _reference("threads")),
    Server("asyncio with uvloop", Plain(), _reference("uvloop_relay"), module="uvloop"),
    Server("uWebSockets", WebSocket(), _reference("uwebsockets_relay"), module="socketify"),
    Server("websockets with uvloop", WebSocket(), _reference("websockets_relay"), module="uvloop"),
    Server("Redis pub/sub", Redis(), _redis, REDIS),
    Server("NATS", Nats(), _nats, "nats-server"),
    Server("Mosquitto, QoS 0", Mqtt(), _mosquitto, "mosquitto", version_options=("-h",)),
    Server("ngIRCd", Irc(), _ngircd, "ngircd"),
)
