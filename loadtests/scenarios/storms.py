"""What others notice of one client that redacts, edits or searches as fast as the server lets it.

    python -m loadtests.scenarios.storms [redactions edits searches] [--turns 5] [--seconds 5]

The client is trusted, so no rate limit holds it; it has 64 requests on their way at a time, and is
a process of its own. A bystander sends messages in a room of its own, in turns without and with the
storm: its latency. The exit code is 1 if the storm did nothing.
"""

import statistics
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from typing import Final

import gevent
from gevent.fileobject import FileObjectThread

from geventchat.client import Connection
from loadtests.scenarios.search import bystander
from loadtests.support.address import Address
from loadtests.support.arguments import positive, whole
from loadtests.support.command import Parser, command
from loadtests.support.server import geventchat

_ROOM: Final = "storm"
_WORDS: Final = "green tea"
_AT_A_TIME: Final = 64


class Storm:
    """A client with many requests on their way."""

    def __init__(self, chat: Connection, act: Callable[[Connection], None]) -> None:
        self.done = 0
        """What it has redacted, edited or found."""
        self._chat, self._act = chat, act
        self._greenlets = [gevent.spawn(self._rage) for _ in range(_AT_A_TIME)]
        self._greenlets.append(gevent.spawn(self._hear))

    def end(self) -> None:
        """Let it end."""
        gevent.killall(self._greenlets)

    def _rage(self) -> None:
        while True:
            self._act(self._chat)
            self.done += 1

    def _hear(self) -> None:
        for _ in self._chat:
            pass


def _redact(chat: Connection) -> None:
    chat.redact(_ROOM, chat.say(_ROOM, "to be redacted"))


def _edit(chat: Connection) -> None:
    chat.edit(_ROOM, 1, f"edited {next(_numbers)}")


def _search(chat: Connection) -> None:
    chat.search(_WORDS)


_numbers: Final = count(1)
STORMS: Final[dict[str, Callable[[Connection], None]]] = {
    "redactions": _redact,
    "edits": _edit,
    "searches": _search,
}


def rage(storm: str, address: str) -> None:
    """Be the storm until standard input ends; then print how much was done."""
    with Connection(*Address.parse(address), rooms=[_ROOM]) as chat:
        for _ in range(100):
            chat.say(_ROOM, "green tea, black tea")
            chat.heard()
        while storm == "searches" and not chat.search(_WORDS).posts:
            gevent.sleep(0.1)  # the index is a second late
        raging = Storm(chat, STORMS[storm])
        print("ready", flush=True)
        FileObjectThread(sys.stdin.fileno(), "rb", closefd=False).read()
        raging.end()
        print(raging.done, flush=True)


def beside(storm: str, address: Address, seconds: float) -> tuple[tuple[float, float], int]:
    """Return median and p99 of a bystander in ms, and how much a storm did meanwhile."""
    program = [sys.executable, "-m", "loadtests.scenarios.storms", "--be", storm, str(address)]
    with subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            latency = bystander(address, seconds)
            done, _ = process.communicate(timeout=30)
            return latency, int(done or 0)
        finally:
            process.kill()


def main() -> int:
    """Run them and print the figures as rows of Markdown."""
    if sys.argv[1:2] == ["--be"]:
        rage(*sys.argv[2:4])
        return 0
    parser = Parser(prog="storms", description=__doc__)
    parser.add_argument("storms", nargs="*", metavar="STORM", help=", ".join(STORMS))
    parser.add_argument("--turns", type=whole(1), default=5)
    parser.add_argument("--seconds", type=positive, default=5.0, help="of each turn")
    options = parser.parse_args()
    if unknown := [each for each in options.storms if each not in STORMS]:
        parser.error(f"unknown storm {unknown[0]}; choose from {', '.join(STORMS)}")
    failed = False
    print("| storm | each second | median ms, alone and beside | p99 ms, alone and beside |")
    print("|---|---|---|---|")
    for storm in options.storms or STORMS:
        alone, during, done = [], [], 0
        for _ in range(options.turns):
            with geventchat() as server:
                alone.append(bystander(server.address, options.seconds))
                latency, much = beside(storm, server.address, options.seconds)
                during.append(latency)
                done += much
        medians, p99 = (
            " and ".join(
                f"{statistics.median(turn[at] for turn in turns):.1f}" for turns in (alone, during)
            )
            for at in (0, 1)
        )
        rate = done / options.turns / options.seconds
        print(f"| {storm} | {rate:.0f} | {medians} | {p99} |", flush=True)
        failed |= not done
    return 1 if failed else 0


if __name__ == "__main__":
    command("storms", main)
