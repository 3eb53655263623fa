"""The program that writes an index, or searches in it, in a process of its own.

    python -m geventchat.server.search.worker index DATABASE PATH EPOCH
    python -m geventchat.server.search.worker find DATABASE PATH

It answers each line of its standard input with one, in JSON. It waits for the disk as it likes:
gevent is not in it.
"""

import os
import select
import sqlite3
import sys
import time
from contextlib import suppress
from typing import Final

import msgspec
from msgspec import Struct

from geventchat.server.search import Place
from geventchat.server.search.finder import Finder
from geventchat.server.search.index import Index, discard, is_damaged

_NICENESS: Final = {"index": 19, "find": 10}
"""Messages are served first. Somebody waits for what is found, so that is not last."""
_REST_SECONDS: Final = 0.004
"""Rest after each MB that is read for remains, which takes some 2 ms: for the sake of the disk."""


class Step(Struct):
    """A step of the index."""

    rooms: list[str]
    """In which something is new."""
    walk: bool
    """Whether to look at all rooms, for what was trimmed or missed."""
    anew: bool = False
    """Whether to begin a new index, since a search found this one damaged."""


class Stepped(Struct):
    """What a step has come to."""

    more: bool = False
    pending: int = 0
    """Rooms that are known to have something new."""
    seconds: float = 0
    """How long it took."""
    failed: str = ""


class Find(Struct):
    """A search."""

    match: str
    rooms: dict[str, int]
    author: str | None
    before: int | None
    limit: int
    seconds: float


class Found(Struct):
    """What was found."""

    places: list[Place] = []
    complete: bool = False
    failed: str = ""
    damaged: bool = False
    """Whether it failed because the index is damaged."""


class _Indexing:
    """Writes; after a failure it opens its files again and looks at all rooms.

    An index that is damaged it makes again: nothing else would, as long as the server runs.
    """

    def __init__(self, database: str, path: str, epoch: str) -> None:
        self._files = database, path, epoch
        self._index: Index | None = None

    def answer(self, line: bytes) -> Stepped:
        step = msgspec.json.decode(line, type=Step)
        began = time.monotonic()
        try:
            if step.anew:
                self._discard()
            if self._index is None:
                self._index = Index(*self._files, _rest)
            if step.walk:
                self._index.walk()
            more = self._index.step(step.rooms)
        except (sqlite3.Error, OSError) as error:
            self.close()
            if is_damaged(error):
                with suppress(OSError):  # then it is damaged at the next step, too
                    self._discard()
            return Stepped(failed=str(error))
        return Stepped(more, self._index.pending, time.monotonic() - began)

    def _discard(self) -> None:
        self.close()
        discard(self._files[1])

    def close(self) -> None:
        index, self._index = self._index, None
        if index is not None:
            index.close()


class _Searching:
    """Reads; after a failure it opens its files again."""

    def __init__(self, database: str, path: str) -> None:
        self._files = database, path
        self._finder: Finder | None = None
        self._of: tuple[int, int] | None = None
        """Which file it reads: what writes the index begins a new one if it finds it damaged."""

    def answer(self, line: bytes) -> Found:
        find = msgspec.json.decode(line, type=Find)
        try:
            file = os.stat(self._files[1])
            if self._of != (of := (file.st_dev, file.st_ino)):
                self.close()
            if self._finder is None:
                self._finder, self._of = Finder(*self._files), of
            found, complete = self._finder.find(
                find.match, find.rooms, find.author, find.before, find.limit, find.seconds
            )
        except (sqlite3.Error, OSError) as error:
            self.close()
            return Found(failed=str(error), damaged=is_damaged(error))
        return Found([Place(*each) for each in found], complete)

    def close(self) -> None:
        finder, self._finder = self._finder, None
        if finder is not None:
            finder.close()


_PROGRAMS: Final = {"index": _Indexing, "find": _Searching}


def main() -> None:
    """Answer until there is no further input."""
    what, *files = sys.argv[1:]
    os.nice(_NICENESS[what])
    if what == "index":
        _leave_the_only_core()
    program = _PROGRAMS[what](*files)
    try:
        for line in sys.stdin.buffer:
            sys.stdout.buffer.write(msgspec.json.encode(program.answer(line)) + b"\n")
            sys.stdout.buffer.flush()
    except (_ServerEnded, ConnectionError):  # reset: the server left an answer unread
        pass
    finally:
        program.close()


class _ServerEnded(Exception):
    """Nobody waits for the step that is under way."""


def _leave_the_only_core() -> None:
    """Run only while the server does not, if both have one core.

    The lowest niceness is not enough there: when the server wakes up, the index keeps the core for
    the rest of some 3 ms, and a p99 of 2.5 ms became 3.6; now 2.8. With more cores it is enough,
    and the index is less late while other programs use them up.
    """
    if sys.platform == "linux" and len(os.sched_getaffinity(0)) == 1:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _rest() -> None:
    """Between two parts of a long step: end it if the server has ended."""
    if select.select([sys.stdin], [], [], _REST_SECONDS)[0]:
        raise _ServerEnded  # it asks nothing before it has its answer, so this is the end


if __name__ == "__main__":
    main()
