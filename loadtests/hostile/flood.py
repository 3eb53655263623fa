"""Flooders in rooms of others, whose messages must not be delayed."""

import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import gevent
from gevent import socket
from gevent.fileobject import FileObjectThread

from geventchat.client import Connection
from loadtests.hostile.server import serving
from loadtests.support.measures import Histogram

MOST_RATIO: Final = 1.2
"""How much the talkers' p99 may grow."""
_PER_ROOM: Final = 10
_SWITCH_SECONDS: Final = 1.0
"""Until flooders are connected and throttled, or gone."""
_TALKERS_ARE_AT: Final = "127.0.0.1/32"
_MESSAGE: Final = b"buy now\0"


@dataclass
class FloodResult:
    """The talkers' p99 in ms in turns without and with flooders, and lost messages."""

    quiet: list[float] = field(default_factory=list)
    flooded: list[float] = field(default_factory=list)
    said: int = 0
    lost: int = 0

    @property
    def ratio(self) -> float:
        """Growth of p99 from one turn to the next: other load on the machine is in both."""
        pairs = zip(self.quiet, self.flooded, strict=True)
        return statistics.median(flooded / quiet for quiet, flooded in pairs)

    @property
    def good(self) -> bool:
        """Whether the talkers were not affected."""
        return self.ratio <= MOST_RATIO and not self.lost

    def __str__(self) -> str:
        return (
            f"flood: talkers' p99 {_spread(self.quiet)} without and {_spread(self.flooded)} with "
            f"flooders, ratio {self.ratio:.2f} (median of {len(self.quiet)} pairs of turns); "
            f"{self.said:,} messages sent, {self.lost} lost"
        )


def _spread(turns: list[float]) -> str:
    return f"{statistics.median(turns):.1f} ms ({min(turns):.1f}-{max(turns):.1f})"


class Talker:
    """Sends a message now and then, and checks that it receives all of its room in order."""

    def __init__(self, address: tuple[str, int], room: str) -> None:
        self.room = room
        self.chat = Connection(*address, rooms=[room], resume=False)
        self.hearing = gevent.spawn(self._hear)

    def talk(self, every: float, end: float, late: Histogram) -> None:
        """Send a message every so many seconds until the end, and record the latencies."""
        due = time.monotonic() + random.random() * every
        while due < end:
            gevent.sleep(max(due - time.monotonic(), 0))
            self.chat.say(self.room, "a message")
            late.add(time.monotonic() - due)
            due += every

    def position(self) -> int:
        """Return the last position received; the client guarantees all before it."""
        cursor = self.chat.cursors.get(self.room)
        return cursor.position if cursor else 0

    def _hear(self) -> None:
        for _ in self.chat:
            pass


def flood(
    talkers: int = 200,
    flooders: int = 20,
    *,
    turns: int = 20,
    seconds: float = 3,
    every: float = 1.0,
) -> FloodResult:
    """Let talkers send a message `every` so many seconds, with and without flooders in turn."""
    result = FloodResult()
    rooms = [f"room{number}" for number in range(talkers // _PER_ROOM)]
    with serving(trust=_TALKERS_ARE_AT) as server, ExitStack() as stack:
        crowd = [Talker(server.address, room) for room in rooms for _ in range(_PER_ROOM)]
        for talker in crowd:
            stack.enter_context(talker.chat)
        _turn(crowd, seconds / 2, every, result)  # caches fill
        switch = stack.enter_context(_flooders(server.address, flooders, rooms))
        for number in range(turns):
            for flooded in (False, True) if number % 2 else (True, False):
                switch(flooded)
                p99 = _turn(crowd, seconds, every, result)
                (result.flooded if flooded else result.quiet).append(p99)
        result.lost += _behind(crowd)
    return result


def _turn(crowd: list[Talker], seconds: float, every: float, result: FloodResult) -> float:
    """Return the p99 of a turn, in ms."""
    late = Histogram()
    end = time.monotonic() + seconds
    talks = [gevent.spawn(talker.talk, every, end, late) for talker in crowd]
    gevent.joinall(talks, timeout=seconds + 30)
    result.lost += sum(not talk.successful() for talk in talks)
    result.said += late.count
    return (late.quantile(0.99) or 0) * 1_000


def _behind(crowd: list[Talker]) -> int:
    """Count talkers that did not receive everything that others of their room did."""
    end = time.monotonic() + 10
    while True:
        tops: dict[str, int] = {}
        for talker in crowd:
            tops[talker.room] = max(tops.get(talker.room, 0), talker.position())
        behind = sum(talker.position() < tops[talker.room] for talker in crowd)
        if not behind or time.monotonic() > end:
            return behind + sum(talker.hearing.ready() for talker in crowd)
        gevent.sleep(0.05)


@contextmanager
def _flooders(
    address: tuple[str, int], flooders: int, rooms: list[str]
) -> Iterator[Callable[[bool], None]]:
    """Yield a switch for the flooders.

    They run in a separate process, and reach the talkers only through the server.
    """
    command = [sys.executable, "-m", "loadtests.hostile.flood", str(address[1]), str(flooders)]
    with subprocess.Popen(
        [*command, *rooms],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # it is ended below, by Ctrl-C too
    ) as process:
        orders, ready = process.stdin, process.stdout
        assert orders is not None
        assert ready is not None
        ready.readline()

        def switch(on: bool) -> None:
            assert orders is not None
            orders.write(b"on\n" if on else b"off\n")
            orders.flush()
            gevent.sleep(_SWITCH_SECONDS)

        try:
            yield switch
        finally:
            process.terminate()


def _pour(port: int, number: int, room: str) -> None:
    """Connect and repeat a message as fast as it is accepted; reconnect when closed."""
    client = f"flooder-{number}-{random.getrandbits(64)}"
    hello = f'\x1e{{"type":"hello","version":1,"client":"{client}","rooms":{{"{room}":null}}}}\0'
    say = f'{{"type":"say","room":"{room}","text":"buy now"}}\0'.encode()
    while True:
        with (
            suppress(OSError),
            socket.create_connection(("127.0.0.1", port), 20, (f"127.3.0.{number + 1}", 0)) as peer,
        ):
            peer.sendall(hello.encode())
            hearing = gevent.spawn(_drain, peer)
            try:
                while True:
                    peer.sendall(say * 100)
            finally:
                hearing.kill()
        gevent.sleep(1)


def _drain(peer: socket.socket) -> None:
    with suppress(OSError):
        while peer.recv(65_536):
            pass


def main() -> None:
    """Run the flooders, switched on and off by standard input."""
    port, flooders, *rooms = sys.argv[1:]
    pouring: list[gevent.Greenlet[..., None]] = []
    print("ready", flush=True)
    for order in FileObjectThread(sys.stdin.fileno(), "rb", closefd=False):
        gevent.killall(pouring)
        pouring = []
        if order == b"on\n":
            pouring = [
                gevent.spawn(_pour, int(port), number, rooms[number % len(rooms)])
                for number in range(int(flooders))
            ]


if __name__ == "__main__":
    main()
