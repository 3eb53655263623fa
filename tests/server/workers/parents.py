"""Parents of workers that are stand-ins, for tests."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import gevent

from geventchat.config import Config
from geventchat.server.workers.parent import Parent

SECONDS = 30
"""The most that something may take on a busy machine."""


@contextmanager
def started(fault: str = "", workers: int = 2, **settings: object) -> Iterator[Parent]:
    """Run a parent whose workers have a fault."""
    parent = made(fault, workers, **settings)
    assert parent.start() is None
    try:
        yield parent
    finally:
        parent.stop()


def made(fault: str = "", workers: int = 2, **settings: object) -> Parent:
    found = {"port": 0, "web": "none", "admin": "127.0.0.1:0", "timeline": "redis://none"}
    config = Config.of(found | {"workers": workers, "drain_seconds": 1} | settings)
    return Parent(config, ["-m", "tests.server.workers.stand_in", *filter(None, [fault])])


def asked(parent: Parent, what: bytes = b"?") -> tuple[int, int]:
    """Connect and return the number and the process of the worker that answers."""
    with socket.create_connection(parent.addresses[0]) as peer:
        peer.sendall(what)
        return answer(peer)


def answer(peer: socket.socket) -> tuple[int, int]:
    """Return what a worker has sent over a native socket, while others run."""
    peer.setblocking(False)
    data = b""
    end = time.monotonic() + SECONDS
    while not data.endswith(b"\n"):
        assert time.monotonic() < end
        with suppress(BlockingIOError):
            data += peer.recv(100)
        gevent.sleep(0.001)
    number, pid = data.split()
    return int(number), int(pid)


def until(true: Callable[[], object]) -> None:
    """Wait until something is true."""
    end = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < end
        gevent.sleep(0.005)


def alive(pid: int) -> bool:
    """Return whether a process runs, and is no zombie."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def pids(parent: Parent) -> list[int]:
    """Return the processes of the workers of a parent."""
    return [slot.worker.pid for slot in parent._slots]


def kill(pid: int, number: int) -> None:
    os.kill(pid, number)
