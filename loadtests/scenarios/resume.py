"""Everyone loses the connection, misses posts, and reconnects at the same moment.

    python -m loadtests.scenarios.resume [--clients 2000] [--missed 100] [--rooms 1]

Rich clients connect, each to one of the rooms; the server's memory is measured. All disconnect, and
miss so many posts in each room. Then all reconnect at once and resume: each must be recovered, and
receive every post it missed, once and in order. The exit code is 1 if any did not, if the last took
more than 10 s, or if the server's memory doubled.
"""

import secrets
import time
from pathlib import Path
from typing import Final

import gevent

from geventchat.client import Connection, Joined, Post
from geventchat.client.socket_link import SocketLink
from geventchat.protocol.errors import LOST
from geventchat.protocol.requests import Hello
from loadtests.support.address import Address
from loadtests.support.arguments import whole
from loadtests.support.command import Parser, command
from loadtests.support.order import GapFree
from loadtests.support.preflight import check_users
from loadtests.support.server import serving
from loadtests.support.server_stats import listener

MOST_SECONDS: Final = 10.0
MOST_GROWTH: Final = 2.0
_GIVE_UP_SECONDS: Final = 60.0
_TEXT_BYTES: Final = 100


class Client:
    """A rich client that remembers its position."""

    def __init__(self, address: Address, room: str) -> None:
        self._address = address
        self._client = secrets.token_urlsafe(16)
        self._heard = GapFree(room)
        self._link: SocketLink | None = None
        self.wrong = ""
        """What went wrong."""

    def come(self, upto: int) -> None:
        """Connect, join or resume, and receive everything up to a position. Waits."""
        self._link = SocketLink(*self._address)
        hello = Hello(version=1, client=self._client, rooms=self._heard.resume())
        self._link.say_hello(hello)
        for event, _ in self._link:
            if isinstance(event, Joined | Post):
                self._heard.hear(event)
                self.wrong = self._heard.wrong
            if self._heard.position >= upto:
                return
        self.wrong = f"the connection ended: {self._link.ended}"

    def drop(self) -> None:
        """Disconnect without a bye."""
        if self._link is not None:
            self._link.close(LOST)


def main() -> int:
    """Run the storm against a server of its own; print what it took; return the exit code."""
    parser = Parser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--clients", type=whole(1), default=2000)
    parser.add_argument("--missed", type=whole(0), default=100)
    # No more than one client may join, as the one that talks does.
    parser.add_argument("--rooms", type=whole(1, 128), default=1)
    asked = parser.parse_args()
    with serving(None) as host:
        check_users(host, asked.clients)
        return run(Address.parse(host), asked.clients, asked.missed, asked.rooms)


def run(address: Address, count: int, missed: int, rooms: int) -> int:
    """Connect, disconnect and resume clients; print the result; return the exit code."""
    memory = Memory(address)
    names = [f"room-{number}" for number in range(rooms)]
    clients = [Client(address, names[number % rooms]) for number in range(count)]
    for begin in range(0, count, 100):
        _all_come(clients[begin : begin + 100], 0)
    steady = memory.now()
    for client in clients:
        client.drop()
    with Connection(*address, rooms=names) as talker:
        reading = gevent.spawn(lambda: [None for _ in talker])
        for number in range(missed):
            for name in names:
                talker.say(name, f"{number} ".ljust(_TEXT_BYTES, "."))
        reading.kill()
    memory.forget_peak()
    took = _all_come(clients, missed)
    growth = memory.peak() / steady
    for client in clients:
        client.drop()
    wrong = [client.wrong for client in clients if client.wrong]
    print(
        f"{count:,} clients missed {missed:,} posts each and were up to date after {took:.1f} s; "
        f"{len(wrong):,} failed. Server memory: {steady:.0f} MB with all connected before, "
        f"{memory.peak():.0f} MB at its peak, {growth:.2f} times as much."
    )
    if wrong:
        print(f"first failure: {wrong[0]}")
    return int(bool(wrong) or took > MOST_SECONDS or growth >= MOST_GROWTH)


def _all_come(clients: list[Client], upto: int) -> float:
    """Connect all at once; return the seconds until the last was up to date."""
    began = time.perf_counter()
    coming = {gevent.spawn(client.come, upto): client for client in clients}
    gevent.joinall(list(coming), timeout=_GIVE_UP_SECONDS)
    for greenlet, client in coming.items():
        if not greenlet.successful():
            client.wrong = client.wrong or f"{greenlet.exception or 'timed out'}"
            greenlet.kill()
    return time.perf_counter() - began


class Memory:
    """The memory of the server's process, in MB, as Linux counts it."""

    def __init__(self, address: Address) -> None:
        server = listener(address)
        if server is None:
            raise SystemExit("cannot read the memory of the server")
        self._folder = Path("/proc", str(server.pid))

    def now(self) -> float:
        """Return what is in use."""
        return self._line("VmRSS")

    def peak(self) -> float:
        """Return the most that was in use since `forget_peak`."""
        return self._line("VmHWM")

    def forget_peak(self) -> None:
        """Reset the peak to what is in use now."""
        Path(self._folder, "clear_refs").write_text("5", "ascii")

    def _line(self, name: str) -> float:
        for line in Path(self._folder, "status").read_text("ascii").splitlines():
            if line.startswith(name):
                return int(line.split()[1]) / 1024
        raise LookupError(name)


if __name__ == "__main__":
    command("resume", main)
