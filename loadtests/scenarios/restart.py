"""How soon a server with a long history is ready after a kill -9.

    python -m loadtests.scenarios.restart [--posts 1000000] [--rooms 100] [--times 5]

A history is generated and imported, and a server with it is killed while it stores messages. The
next start is timed until the server listens, and it is killed as well: with a warm page cache, as
after a long run, and with a cold one, as after a power failure. The exit code is 1 if a start took
over 2 s.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from geventchat.client import Connection
from loadtests.support.address import Address
from loadtests.support.arguments import whole
from loadtests.support.command import CannotRun, Parser, command
from loadtests.support.server import GEVENTCHAT, geventchat

MOST_SECONDS: Final = 2.0
_TEXT: Final = "What somebody says takes about as many bytes as this does, often fewer."
_SAID: Final = 500
"""Messages sent to a server in the moment before it is killed."""


def main() -> int:
    """Make the history, kill and start; print what it took; return the exit code."""
    parser = Parser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--posts", type=whole(1), default=1_000_000)
    parser.add_argument("--rooms", type=whole(1), default=100)
    parser.add_argument("--times", type=whole(1), default=5)
    asked = parser.parse_args()
    asked.posts -= asked.posts % asked.rooms  # each room has as many
    if not asked.posts:
        parser.error("--posts must be at least --rooms")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "chat.db")
        print(f"restart: importing {asked.posts:,} posts", file=sys.stderr)
        bring_in(path, asked.posts, asked.rooms)
        print(f"{asked.posts:,} posts in {asked.rooms:,} rooms: {path.stat().st_size >> 20:,} MB")
        with started(path) as (address, _):
            talk(address)
        cold: list[float] = []
        warm: list[float] = []
        for _ in range(asked.times):
            print(f"restart: {len(cold) + 1} of {asked.times}", file=sys.stderr)
            for times in cold, warm:
                (forget if times is cold else remember)(folder)
                with started(path) as (address, seconds):
                    times.append(seconds)
                    talk(address)
    for name, times in ("cold cache", cold), ("warm cache", warm):
        print(f"ready after a kill, {name}: {min(times):.2f} to {max(times):.2f} s")
    slow = max(cold + warm) > MOST_SECONDS
    if slow:
        print(f"failed: it took more than {MOST_SECONDS} s")
    return int(slow)


def bring_in(path: Path, posts: int, rooms: int) -> None:
    """Make a database of a history."""
    command = [*GEVENTCHAT, "history", "import", "--timeline", f"sqlite:{path}"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet) as process:
        assert process.stdin is not None
        process.stdin.writelines(json.dumps(line).encode() + b"\n" for line in lines(posts, rooms))
    if process.returncode:
        raise CannotRun("the history could not be imported")


def lines(posts: int, rooms: int) -> Iterator[object]:
    """Yield what `geventchat history import` reads."""
    yield {"geventchat": "history", "version": 1}
    begin = time.time_ns() // 1_000_000 - posts
    clients = [secrets.token_hex(16) for _ in range(100)]
    for room in range(rooms):
        yield {"type": "room", "name": f"room-{room}"}
        for position in range(1, posts // rooms + 1):
            yield {
                "type": "post",
                "post": {
                    "position": position,
                    "time": begin + position,
                    "author": f"guest-{position % 100}",
                    "text": _TEXT,
                    "client": clients[position % 100],
                    "key": secrets.token_urlsafe(16),
                },
            }
    yield {"type": "end", "rooms": rooms, "posts": posts // rooms * rooms}


@contextmanager
def started(path: Path) -> Iterator[tuple[Address, float]]:
    """Start a server; yield its address and the seconds until it listened; then kill it."""
    began = time.perf_counter()
    with geventchat("--timeline", f"sqlite:{path}", stop=signal.SIGKILL) as server:
        yield server.address, time.perf_counter() - began


def talk(address: Address) -> None:
    """Send many messages at once; they are still being stored when it returns."""
    chat = Connection(*address, rooms=["room-0"], resume=False)
    for _ in range(_SAID):
        chat.send("room-0", _TEXT)


def remember(folder: str) -> None:
    """Warm the page cache, as after a long run."""
    for path in Path(folder).iterdir():
        path.read_bytes()


def forget(folder: str) -> None:
    """Drop the files from the page cache."""
    for path in Path(folder).iterdir():
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)  # what is not written cannot be forgotten
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


if __name__ == "__main__":
    command("restart", main)
