"""Starts servers: geventchat on a free port, or any program on a port that is given."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from loadtests.support.address import Address
from loadtests.support.preflight import raise_descriptor_limit

GEVENTCHAT: Final = (sys.executable, "-m", "geventchat")
_START_SECONDS: Final = 20
_ACCEPT_SECONDS: Final = 10
_STOP_SECONDS: Final = 5
_ADDRESSES: Final = re.compile(
    r"listen\w+ on (\S+:\d+).*?browsers is at https?://(\S+?)/", re.DOTALL
)
"""In the log of a server that listens."""


class Running(NamedTuple):
    """A geventchat server that is listening."""

    address: Address
    web: Address
    """Of its web door."""
    pid: int
    log: Path


@contextmanager
def serving(host: str | None, *options: str, web: bool = False) -> Iterator[str]:
    """Yield the address of the server to load: `host`, or one started for this run alone.

    The options are those of `geventchat serve`, for a server that is started. `web`: the address
    of its web door.
    """
    if host:
        yield host
        return
    with geventchat(*options) as server:
        address = server.web if web else server.address
        print(f"started a server at {address} for this run", flush=True)
        yield str(address)


@contextmanager
def geventchat(
    *options: str, program: Sequence[str] = GEVENTCHAT, stop: signal.Signals = signal.SIGTERM
) -> Iterator[Running]:
    """Run `geventchat serve` on a free port until the block ends; yield it once it listens.

    Messages are in a database that is deleted afterwards unless the options say otherwise.
    Exits with the server's log if it does not start.
    """
    raise_descriptor_limit()  # the server inherits it
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        serve = [*program, "serve", "--port", "0", "--admin", "127.0.0.1:0"]
        serve += ["--web", "127.0.0.1:0"]
        serve += ["--timeline", f"sqlite:{folder}/chat.db", *options]
        with (
            log.open("wb") as output,
            # A session of its own keeps Ctrl-C from reaching it.
            subprocess.Popen(
                serve, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            ) as process,
        ):
            try:
                yield Running(*_addresses(process, log), process.pid, log)
            finally:
                process.send_signal(stop)


def _addresses(process: "subprocess.Popen[bytes]", log: Path) -> tuple[Address, Address]:
    """Return the addresses of the chat port and of the web door."""
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        if found := _ADDRESSES.search(log.read_text("utf-8")):
            return Address.parse(found[1]), Address.parse(found[2])
        time.sleep(0.005)
    sys.exit(f"the server did not start; its log: {log.read_text('utf-8')}")


@contextmanager
def accepting(command: Sequence[str], at: int | str, core: int | None = None) -> Iterator[int]:
    """Run a program until the block ends, on one core if given; yield its process id.

    Waits until its port, or its socket at a path, accepts connections. Raises OSError if it does
    not. A session of its own keeps Ctrl-C from reaching it.
    """
    with _on(core):
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(
            command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True
        )
    try:
        _wait_for(at, process)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def _on(core: int | None) -> Iterator[None]:
    """Stay on a core for a moment: a process started meanwhile inherits it with its threads."""
    before = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _wait_for(at: int | str, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + _ACCEPT_SECONDS
    while time.monotonic() < end:
        family = socket.AF_INET if isinstance(at, int) else socket.AF_UNIX
        with suppress(OSError), socket.socket(family) as knocking:
            knocking.connect(("127.0.0.1", at) if isinstance(at, int) else at)
            return
        if process.poll() is not None:
            raise OSError(f"it ended with exit code {process.returncode}")
        time.sleep(0.05)
    raise OSError(f"nothing accepts connections at {at}")
