"""The same load on real nodes and a real engine, to check the simulation."""

import re
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

import gevent

from geventchat.client import Connection
from loadtests.support.engine import engine
from loadtests.support.server import geventchat

_TALKERS: Final = 10
"""Connections of each node that take turns to say something."""
_ROOMS: Final = 10
_TEXT: Final = "x" * 100
_QUIET_SECONDS: Final = 3.0
_STARTED: Final = re.compile(r"/metrics and /top are at http://(\S+?)/")
_STORED: Final = re.compile(r"^geventchat_commit_seconds_count (\S+)", re.MULTILINE)


class Measured(NamedTuple):
    """What was measured."""

    engine: float
    """The share of a core that the engine used,"""
    idle: float
    """and without any message."""
    turns: float
    """Turns a second."""


def measure(program: str, nodes: int, rate: float, seconds: float = 8.0) -> Measured:
    """Load some nodes on an engine with so many messages a second. Waits."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        store = stack.enter_context(engine(Path(folder), program))
        servers = [
            stack.enter_context(
                geventchat(
                    "--timeline", store.url, "--operator-file", f"{folder}/{number}.operator"
                )
            )
            for number in range(nodes)
        ]
        admins = [_admin(server.log) for server in servers]
        rooms = [f"room-{number}" for number in range(_ROOMS)]
        talkers = [
            stack.enter_context(
                Connection(server.address.host, server.address.port, rooms=[rooms[place % _ROOMS]])
            )
            for place in range(_TALKERS)
            for server in servers
        ]
        gevent.sleep(1)
        idle = _used(store.pid, _QUIET_SECONDS)
        readers = [gevent.spawn(_hear, each) for each in talkers]
        talking = gevent.spawn(_talk, talkers, rooms, rate)
        gevent.sleep(1)
        before = _turns(admins)
        began = time.monotonic()
        share = _used(store.pid, seconds)
        turns = (_turns(admins) - before) / (time.monotonic() - began)
        gevent.killall([talking, *readers])
        return Measured(share, idle, turns)


def _talk(talkers: list[Connection], rooms: list[str], rate: float) -> None:
    """Say something at a steady rate, each of the talkers in turn."""
    due, place = time.monotonic(), 0
    while True:
        talker = talkers[place % len(talkers)]
        talker.send(rooms[place // (len(talkers) // _TALKERS) % _ROOMS], _TEXT)
        place = (place + 1) % len(talkers)
        due += 1 / rate
        gevent.sleep(max(due - time.monotonic(), 0))


def _hear(talker: Connection) -> None:
    for _ in talker:
        pass


def _used(pid: int, seconds: float) -> float:
    """Return the share of a core that a process uses in the next seconds."""
    began, before = time.monotonic(), _cpu_seconds(pid)
    gevent.sleep(seconds)
    return (_cpu_seconds(pid) - before) / (time.monotonic() - began)


def _cpu_seconds(pid: int) -> float:
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(each.read_text().split()[0]) for each in threads) / 1e9


def _admin(log: Path) -> str:
    """Return the address of the admin port of a server that has just started."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if found := _STARTED.search(log.read_text("utf-8")):
            return found[1]
        time.sleep(0.01)
    raise OSError("a server did not say where its admin port is")


def _turns(admins: list[str]) -> float:
    """Return how many turns some servers have stored."""
    told = (
        urllib.request.urlopen(f"http://{admin}/metrics", timeout=10).read().decode()
        for admin in admins
    )
    return sum(float(found[1]) for each in told if (found := _STORED.search(each)))
