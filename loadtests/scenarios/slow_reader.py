"""A slow reader in a busy room, until it has received everything.

    python -m loadtests.scenarios.slow_reader [--bytes-per-second 10000] [--busy-seconds 20]

A talker sends so many posts per second for a while; a reader takes so many bytes per second from
its socket, with a small kernel buffer. Whenever the server closes the connection, with `slow` or
otherwise, it resumes. The exit code is 1 if anything was missing, duplicated or out of order.
"""

import secrets
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import gevent
from gevent import socket
from gevent.event import Event

from geventchat.client import Connection
from geventchat.protocol import events, requests
from geventchat.protocol.events import Bye, Joined, Ping, Post
from geventchat.protocol.requests import Hello
from loadtests.support.address import Address
from loadtests.support.arguments import positive, whole
from loadtests.support.command import Parser, command
from loadtests.support.order import GapFree
from loadtests.support.server import serving

ROOM: Final = "busy"
_RECEIVE_BUFFER: Final = 4_096
_RECEIVE_BYTES: Final = 1_024
_GIVE_UP_SECONDS: Final = 600.0


@dataclass
class Reader:
    """A rich client that reads so many bytes per second, and resumes when closed."""

    address: Address
    bytes_per_second: int
    heard: GapFree = field(default_factory=lambda: GapFree(ROOM))
    joined: Event = field(default_factory=Event)
    closed: Counter[str] = field(default_factory=Counter)
    """How often it was closed, by reason."""
    _client: str = field(default_factory=lambda: secrets.token_urlsafe(16))

    def read(self, upto: int, until: float) -> None:
        """Hear everything up to a position; give up at a time of the monotonic clock."""
        while self._goes_on(upto) and time.monotonic() < until:
            with suppress(ConnectionError):
                self._once(upto, until)

    def _once(self, upto: int, until: float) -> None:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            sock.connect(self.address)
            hello = Hello(version=1, client=self._client, rooms=self.heard.resume())
            sock.sendall(b"\x1e" + requests.encode(hello) + b"\0")
            unread = b""
            said = "lost"
            while self._goes_on(upto) and time.monotonic() < until:
                data = sock.recv(_RECEIVE_BYTES)
                gevent.sleep(len(data) / self.bytes_per_second)
                if not data:
                    self.closed[said] += 1
                    return
                *frames, unread = (unread + data).split(b"\0")
                for frame in frames:
                    event = events.decode(frame)
                    if isinstance(event, Ping):
                        sock.sendall(requests.encode(requests.Pong()) + b"\0")
                    elif isinstance(event, Bye):
                        said = event.code
                    elif isinstance(event, Joined | Post):
                        self.heard.hear(event)
                        self.joined.set()

    def _goes_on(self, upto: int) -> bool:
        return self.heard.position < upto and not self.heard.wrong


def main() -> int:
    """Run a talker and a slow reader on a server started for them; print the result."""
    parser = Parser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--bytes-per-second", type=whole(1), default=10_000)
    parser.add_argument("--busy-seconds", type=positive, default=20.0)
    parser.add_argument("--posts-per-second", type=whole(1), default=500)
    parser.add_argument("--text-bytes", type=whole(1), default=100)
    asked = parser.parse_args()
    with serving(None) as host:
        address = Address.parse(host)
        reader = Reader(address, asked.bytes_per_second)
        posts = int(asked.busy_seconds * asked.posts_per_second)
        until = time.monotonic() + _GIVE_UP_SECONDS
        reading = gevent.spawn(reader.read, posts, until)
        reader.joined.wait(10)
        _talk(address, posts, 1 / asked.posts_per_second, "x" * asked.text_bytes)
        heard = reader.heard.position
        began = time.monotonic()
        reading.get()
        took = time.monotonic() - began
    wrong = reader.heard.wrong
    if reader.heard.position != posts:
        wrong = wrong or f"stopped at position {reader.heard.position:,}"
    closed = ", ".join(f"{code} {count}" for code, count in reader.closed.items()) or "never"
    print(
        f"{posts:,} posts in {asked.busy_seconds:g} s; a client that reads "
        f"{asked.bytes_per_second:,} bytes per second had received {heard:,} of them then, and all "
        f"{took:.0f} s later, each once and in order. Closed by the server: {closed}."
        if not wrong
        else f"failed: {wrong}"
    )
    return int(bool(wrong))


def _talk(address: Address, posts: int, pause: float, text: str) -> None:
    with Connection(*address, rooms=[ROOM]) as talker:
        gevent.spawn(lambda: [None for _ in talker])
        began = time.monotonic()
        for number in range(posts):
            talker.send(ROOM, f"{number} {text}")
            gevent.sleep(max(began + number * pause - time.monotonic(), 0))


if __name__ == "__main__":
    command("slow_reader", main)
