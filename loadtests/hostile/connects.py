"""Connects and closes in great numbers, with junk, from thousands of addresses."""

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
"""How much more memory the server may hold after all of them than after the first ones."""
MOST_LINES: Final = 50
"""How many lines a second its log may have."""
_WARM_UP: Final = 50_000
"""So many that it had its worst moment: memory that was in use at once stays the process's."""
_AT_ONCE: Final = 100
_NO_LINGER: Final = struct.pack("ii", 1, 0)


@dataclass
class ConnectResult:
    """What the server held before and after."""

    connections: int
    seconds: float
    before: Held
    after: Held
    turned_away: int
    """Of those who listened, how many were told that their address had connected too often."""
    tracebacks: int
    lines: int = 0
    """Of the log."""

    @property
    def good(self) -> bool:
        """Whether nothing stayed behind."""
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
            f"{after.greenlets}; {self.turned_away:,} were told to wait; "
            f"{self.lines:,} lines of log, {self.tracebacks} tracebacks"
        )


def connect_and_close(
    connections: int = 200_000, *, warm_up: int = _WARM_UP, seed: int = 1
) -> ConnectResult:
    """Let so many connect, most of them say something that is none, and close at once."""
    dice = random.Random(seed)
    with serving("--log-format", "json") as server:
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
    """Give how many were told to wait."""
    knocks = Pool(_AT_ONCE).imap_unordered(lambda _: _knock(address, dice), range(connections))
    return sum(b"too often" in heard for heard in knocks)


def _knock(address: tuple[str, int], dice: random.Random) -> bytes:
    """Give what was heard, by those who listen."""
    source = f"127.{dice.randint(1, 40)}.{dice.randint(0, 255)}.{dice.randint(1, 254)}"
    if dice.random() < 0.2:  # some come so often that they are turned away
        source = f"127.99.0.{dice.randint(1, 3)}"
    with socket.socket() as peer:
        peer.settimeout(20)
        peer.bind((source, 0))
        try:
            peer.connect(address)
            if junk := _junk(dice):
                peer.sendall(junk)
            match dice.randrange(3):
                case 0:  # hear what it says, and go
                    peer.shutdown(socket.SHUT_WR)
                    return peer.recv(1_000)
                case 1:  # vanish
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        except OSError:
            pass  # the server was quicker
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
