"""Connects, sends junk and closes in great numbers, from thousands of addresses."""

import random
import struct
import time
from dataclasses import dataclass
from typing import Final

from gevent import socket
from gevent.pool import Pool

from geventchat.client import Connection
from loadtests.hostile.server import Held, serving

MOST_MB: Final = 2.0
"""Memory growth allowed after the warm-up."""
MOST_LINES: Final = 50
"""Log lines allowed per second."""
_WARM_UP: Final = 50_000
"""Enough for the peak: memory once in use stays with the process."""
_AT_ONCE: Final = 100
_NO_LINGER: Final = struct.pack("ii", 1, 0)


@dataclass
class ConnectResult:
    """What the server used before and after."""

    connections: int
    seconds: float
    before: Held
    after: Held
    turned_away: int
    """Connections rejected because their address connected too often."""
    tracebacks: int
    lines: int = 0
    """Log lines."""

    @property
    def good(self) -> bool:
        """Whether nothing leaked."""
        return (
            self.after.descriptors <= self.before.descriptors
            and self.after.greenlets <= self.before.greenlets
            and self.after.memory_mb <= self.before.memory_mb + MOST_MB
            and self.lines <= MOST_LINES * (self.seconds + 1)
            and not self.tracebacks
        )

    def __str__(self) -> str:
        before, after = self.before, self.after
        return (
            f"connect and close: {self.connections:,} in {self.seconds:.0f} s; before and after: "
            f"memory {before.memory_mb:.1f} and {after.memory_mb:.1f} MB, descriptors "
            f"{before.descriptors} and {after.descriptors}, greenlets {before.greenlets} and "
            f"{after.greenlets}; {self.turned_away:,} rejected; "
            f"{self.lines:,} log lines, {self.tracebacks} tracebacks"
        )


def connect_and_close(
    connections: int = 200_000, *, warm_up: int = _WARM_UP, seed: int = 1
) -> ConnectResult:
    """Connect so many times, mostly with junk, and close at once."""
    dice = random.Random(seed)
    # The process for search would begin in between, with a descriptor.
    with serving("--log-format", "json", "--search", "off") as server:
        with Connection(*server.address, rooms=["lobby"]) as inside:
            _pass(server.address, warm_up, dice)
            before, lines = server.settled(server.held(), 3), len(server.lines())
            began = time.monotonic()
            told = _pass(server.address, connections, dice)
            seconds = time.monotonic() - began
            after = server.settled(before)
            inside.who("lobby")
            lines = len(server.lines()) - lines
        tracebacks = len(server.lines("Traceback"))
    return ConnectResult(connections, seconds, before, after, told, tracebacks, lines)


def _pass(address: tuple[str, int], connections: int, dice: random.Random) -> int:
    """Return how many were rejected."""
    knocks = Pool(_AT_ONCE).imap_unordered(lambda _: _knock(address, dice), range(connections))
    return sum(b"Too many connection attempts" in heard for heard in knocks)


def _knock(address: tuple[str, int], dice: random.Random) -> bytes:
    """Return what was received, if anything was read."""
    source = f"127.{dice.randint(1, 40)}.{dice.randint(0, 255)}.{dice.randint(1, 254)}"
    if dice.random() < 0.2:  # some connect so often that they are rejected
        source = f"127.99.0.{dice.randint(1, 3)}"
    with socket.socket() as peer:
        peer.settimeout(20)
        peer.bind((source, 0))
        try:
            peer.connect(address)
            if junk := _junk(dice):
                peer.sendall(junk)
            match dice.randrange(3):
                case 0:  # read the answer, and leave
                    peer.shutdown(socket.SHUT_WR)
                    return peer.recv(1_000)
                case 1:  # vanish
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        except OSError:
            pass  # the server closed first
    return b""


def _junk(dice: random.Random) -> bytes:
    match dice.randrange(8):
        case 0:
            return b""
        case 1:
            return b"GET / HTTP/1.1\r\nHost: chat\r\n\r\n"
        case 2:
            return b"\x16\x03\x01\x02\x00" + dice.randbytes(100)
        case 3:
            return b"SSH-2.0-scanner\r\n"
        case 4:
            return dice.randbytes(200)
        case 5:
            return b'\x1e{"type":"hello","version":1\0'
        case 6:
            return b"half a frame"
        case _:
            return b"\0" * 1_000
