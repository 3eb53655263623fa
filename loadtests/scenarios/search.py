"""Search in a long history: how long an answer takes, and what others notice.

    python -m loadtests.scenarios.search [--posts 1000000] [--rooms 1000]

A database with so many posts is made and imported, and a server started on it. Somebody who is in
three of the rooms searches for a common word, a rare one, a phrase and Chinese, each several times:
the time to the first 50 posts. Then, in a room of its own, a bystander sends messages, alone, and
beside four people in another process who search once a second, or without a pause: its latency. At
last a post is redacted, and its word looked for in the files of the index. The exit code is 1 if an
answer took more than 100 ms (median), was cut short, or found nothing, or if the word was still
there after 10 minutes.
"""

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import gevent

from geventchat.client import Connection
from loadtests.support.address import Address
from loadtests.support.arguments import whole
from loadtests.support.command import Parser, command
from loadtests.support.pace import paced
from loadtests.support.server import GEVENTCHAT, geventchat

MOST_SECONDS: Final = 0.1
_ROOMS: Final = ("room-1", "room-2", "room-3")
"""Where somebody searches."""
_QUERIES: Final = {
    "a common word": "common",
    "a rare word": "rare",
    "a phrase": '"green build"',
    "Chinese": "東京",
}
_RARE_AT: Final = 7
"""The first post of a room that has all of them."""
_TIMES: Final = 20
_INDEX_SECONDS: Final = 3600
_BYSTANDER_SECONDS: Final = 8.0
_BYSTANDER_EVERY_SECONDS: Final = 0.006
_SEARCHERS: Final = 4
_PAUSES: Final = 1.0, 0.0
"""A little more often than the rate limit lets people search who are not trusted; and always."""
_ROUNDS: Final = 3
_WARM_SECONDS: Final = 2.0
_REDACTED: Final = "zzyzx"
"""Like no other word: of words that begin like others the index holds only the rest."""
_FORGET_SECONDS: Final = 600.0
"""Within which the index forgets, as docs/operations.md promises."""
_WORDS: Final = "the a build is was green red tea on in server room message today".split()


def history(posts: int, rooms: int) -> Iterator[str]:
    """Yield the lines of an export; every second post has the common word, one in 5,000 others."""
    rng = random.Random(13)
    yield json.dumps({"geventchat": "history", "version": 1})
    now = int(time.time() * 1000) - posts * 100
    each = posts // rooms
    for room in range(rooms):
        yield json.dumps({"type": "room", "name": f"room-{room}", "topic": "", "top": each})
        for position in range(1, each + 1):
            text = " ".join(rng.choices(_WORDS, k=12))
            if position % 2:
                text += " common"
            if position % 500 == _RARE_AT:
                text += " rare; the green build is in 昨日東京に行った"
            post = {
                "position": position,
                "time": now + (position * rooms + room) * 100,
                "author": f"user{rng.randrange(500)}",
                "text": text,
                "client": "ab" * 16,
                "key": f"{room}-{position}",
            }
            yield json.dumps({"type": "post", "post": post})
    yield json.dumps({"type": "end", "rooms": rooms, "posts": each * rooms})


def make(database: Path, posts: int, rooms: int) -> None:
    """Import such a history into a new database."""
    command_line = [*GEVENTCHAT, "history", "import", "--timeline", f"sqlite:{database}"]
    with subprocess.Popen(command_line, stdin=subprocess.PIPE, text=True) as importing:
        assert importing.stdin is not None
        for line in history(posts, rooms):
            importing.stdin.write(f"{line}\n")
        importing.stdin.close()
        importing.wait()
    if importing.returncode:
        raise SystemExit("the history could not be imported")


def wait_indexed(chat: Connection, rooms: int) -> float:
    """Wait until the first and the last room are in the index; return the seconds it took."""
    began = time.monotonic()
    last = f"room-{rooms - 1}"
    chat.join(last)
    while time.monotonic() - began < _INDEX_SECONDS:
        found = chat.search("common", room=last, limit=1)
        if found.posts and chat.search("common", room=_ROOMS[0], limit=1).posts:
            chat.leave(last)
            return time.monotonic() - began
        gevent.sleep(1)
    raise SystemExit("the index was not ready in time")


def timed(chat: Connection, text: str) -> tuple[list[float], int, bool]:
    """Search some times; return the seconds each took, the number of posts, and if all of it."""
    seconds, posts, complete = [], 0, True
    for _ in range(_TIMES):
        began = time.perf_counter()
        found = chat.search(text, limit=50)
        seconds.append(time.perf_counter() - began)
        posts, complete = len(found.posts), complete and found.complete
    return sorted(seconds), posts, complete


def bystander(address: Address, seconds: float = _BYSTANDER_SECONDS) -> tuple[float, float]:
    """Send messages in a room of one's own for so long; return median and p99 in ms."""
    waits = []
    with Connection(*address, rooms=["aside"]) as chat:
        for due in paced(_BYSTANDER_EVERY_SECONDS, seconds, gevent.sleep):
            chat.say("aside", "hello")
            waits.append(time.perf_counter() - due)
            chat.heard()
    waits.sort()
    return statistics.median(waits) * 1000, waits[int(len(waits) * 0.99)] * 1000


def search_for_ever(address: Address, pause: float) -> None:
    """Search, each time after a pause in seconds."""
    with Connection(*address, rooms=_ROOMS) as chat:
        while True:
            for text in _QUERIES.values():
                gevent.sleep(pause)
                chat.search(text, limit=50)
                chat.heard()


@contextmanager
def searching(address: Address, pause: float) -> Iterator[None]:
    """Have people search in a process of their own: it shares no interpreter with the bystander."""
    here = "-m", "loadtests.scenarios.search", "--at", str(address), "--pause", str(pause)
    with subprocess.Popen([sys.executable, *here]) as searchers:
        try:
            gevent.sleep(_WARM_SECONDS)
            yield
        finally:
            searchers.terminate()


def beside(address: Address) -> list[str]:
    """Return the medians of some rounds of a bystander's latency: alone, and beside searchers."""
    seen: dict[str, list[tuple[float, float]]] = {}
    for _ in range(_ROUNDS):
        seen.setdefault("bystander alone", []).append(bystander(address))
        for pause in _PAUSES:
            name = f"beside {_SEARCHERS} who search, each after {pause:g} s"
            with searching(address, pause):
                seen.setdefault(name, []).append(bystander(address))
    rows = (
        (name, *map(statistics.median, zip(*times, strict=True))) for name, times in seen.items()
    )
    return [f"{name}: median {middle:.2f} ms, p99 {p99:.2f} ms" for name, middle, p99 in rows]


def forget(chat: Connection, index: Path) -> float:
    """Redact a post; return the seconds until none of its words is in the files of the index."""
    position = chat.say(_ROOMS[0], _REDACTED)
    while not chat.search(_REDACTED).posts:
        chat.heard()
        gevent.sleep(0.1)
    if not _holds(index, _REDACTED):
        raise SystemExit(f"{_REDACTED} was found, and is not in {index}")
    chat.redact(_ROOMS[0], position)
    began = time.monotonic()
    while _holds(index, _REDACTED) and time.monotonic() - began < _FORGET_SECONDS:
        gevent.sleep(1)
    return time.monotonic() - began


def _holds(index: Path, word: str) -> bool:
    files = (index, Path(f"{index}-wal"))
    return any(word.encode() in file.read_bytes() for file in files if file.exists())


def main() -> int:
    """Run it and print the figures as rows of Markdown."""
    parser = Parser(prog="search", description=__doc__)
    parser.add_argument("--posts", type=whole(1_000), default=1_000_000)
    parser.add_argument("--rooms", type=whole(10), default=1_000)
    parser.add_argument("--at", type=Address.parse, help="only search there, until it is ended")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds before each search")
    options = parser.parse_args()
    if options.at is not None:
        gevent.joinall(
            [gevent.spawn(search_for_ever, options.at, options.pause) for _ in range(_SEARCHERS)],
            raise_error=True,
        )
    if options.posts < _RARE_AT * options.rooms:
        parser.error(f"--posts must be at least {_RARE_AT} times --rooms")
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder, "search.db")
        make(database, options.posts, options.rooms)
        with (
            geventchat("--timeline", f"sqlite:{database}") as server,
            Connection(*server.address, rooms=_ROOMS) as chat,
        ):
            seconds = wait_indexed(chat, options.rooms)
            size = Path(f"{database}.search").stat().st_size / database.stat().st_size
            print(f"indexed after {seconds:.0f} s; {size:.2f} of the size of the database")
            print("| search for | first 50 | median ms | worst ms |\n|---|---|---|---|")
            for name, text in _QUERIES.items():
                took, posts, complete = timed(chat, text)
                median, worst = statistics.median(took), took[-1]
                failed |= median > MOST_SECONDS or not complete or not posts
                print(f"| {name} | {posts} | {median * 1000:.1f} | {worst * 1000:.1f} |")
            for line in beside(server.address):
                print(line)
            forgotten = forget(chat, Path(f"{database}.search"))
            failed |= forgotten >= _FORGET_SECONDS
            print(f"a redacted post was gone from the index after {forgotten:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    command("search", main)
