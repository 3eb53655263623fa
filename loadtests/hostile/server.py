"""A server for each attack that reports its resources."""

import re
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import psutil

from loadtests.support.server import Running, geventchat

_WAIT_SECONDS: Final = 20
_PROGRAM: Final = """
import gc, signal, sys
from gevent import monkey
monkey.patch_all()
import greenlet
def tell(*_):
    alive = [each for each in gc.get_objects() if isinstance(each, greenlet.greenlet)]
    print("greenlets", sum(not each.dead for each in alive), file=sys.stderr, flush=True)
signal.signal(signal.SIGUSR1, tell)
from geventchat.__main__ import main
sys.exit(main())
"""
"""Runs the command line; prints the number of greenlets on SIGUSR1."""
_COUNTING: Final = (sys.executable, "-c", _PROGRAM)


class Held(NamedTuple):
    """Resources of a process at a moment."""

    memory_mb: float
    descriptors: int
    greenlets: int


class Server:
    """A running server. All limits apply to its clients, except those in `trust`."""

    def __init__(self, server: Running) -> None:
        self._process = psutil.Process(server.pid)
        self._log = server.log
        self.address = server.address

    def held(self) -> Held:
        """Return the resources in use. Waits for the answer."""
        asked = len(self._told(r"greenlets (\d+)"))
        self._process.send_signal(signal.SIGUSR1)
        greenlets = self._found(r"greenlets (\d+)", asked + 1)[-1]
        memory = self._process.memory_info().rss / 1e6
        return Held(memory, self._process.num_fds(), int(greenlets))

    def settled(self, before: Held, seconds: float = 10) -> Held:
        """Return the resources in use once back to `before`, or after some seconds."""
        end = time.monotonic() + seconds
        held = self.held()
        while time.monotonic() < end and (
            held.descriptors > before.descriptors or held.greenlets > before.greenlets
        ):
            time.sleep(0.2)
            held = self.held()
        return held

    def lines(self, text: str = "") -> list[str]:
        """Return the log lines that contain a text."""
        return [line for line in self._log.read_text("utf-8").splitlines() if text in line]

    def _found(self, pattern: str, number: int) -> list[str]:
        end = time.monotonic() + _WAIT_SECONDS
        while len(told := self._told(pattern)) < number:
            if time.monotonic() > end or not self._process.is_running():
                sys.exit(f"the server does not answer; its log: {self._log.read_text('utf-8')}")
            time.sleep(0.01)
        return told

    def _told(self, pattern: str) -> list[str]:
        return re.findall(pattern, self._log.read_text("utf-8"))


@contextmanager
def serving(
    *options: str, trust: str = "192.0.2.0/24", limits: Mapping[str, int] | None = None
) -> Iterator[Server]:
    """Run a server with these options and limits until the block ends."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder, "settings")
        settings.write_text(_settings(limits or {}), "utf-8")
        fixed = ["--config", str(settings), "--trust", trust, "--admin", "none"]
        with geventchat(*fixed, *options, program=_COUNTING) as server:
            yield Server(server)


def _settings(limits: Mapping[str, int]) -> str:
    return "\n".join(["[limits]", *(f"{name} = {value}" for name, value in limits.items())])
