"""Letting go of the oldest posts: by age, by number in a room, by the size of the file.

In steps of a few milliseconds between two batches, oldest first, so that what is kept of a room has
no hole; keys go with their posts. A room that is trimmed empty remembers its top.
"""

import sqlite3
import time
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from itertools import islice
from typing import Final, Self

from geventchat.config import Limits

STEP_POSTS: Final = 200
"""What goes in one step at most,"""
_STEP_SECONDS: Final = 0.002
"""and how long it may take: a commit may have to wait for it."""
_BIT_POSTS: Final = 5
_BIT_PAGES: Final = 16
_STEP_ROOMS: Final = 200
"""Rooms whose age is looked at in one step."""
_FREE: Final = 8
"""The file gives space back to the disk when more than one page in so many is free."""
_DAY_MS: Final = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Keep:
    """What is kept; None: no bound."""

    days: int | None = None
    posts_per_room: int | None = None
    total_bytes: int | None = None

    @classmethod
    def of(cls, limits: Limits) -> Self:
        """Give what these limits say of history."""
        return cls(limits.history_days, limits.history_posts_per_room, limits.history_bytes)

    def __bool__(self) -> bool:
        return any((self.days, self.posts_per_room, self.total_bytes))


@dataclass(frozen=True, slots=True)
class Trim:
    """A room's posts up to a position are to go."""

    room: str
    upto: int


class Retention:
    """Finds what is to go next. `tops` and `oldest` are the store's own, by room."""

    def __init__(
        self, rooms: Mapping[str, int], tops: Mapping[str, int], oldest: Mapping[str, int]
    ) -> None:
        self._rooms = rooms
        self._tops = tops
        self._oldest = oldest
        self._looked = 0

    def next(self, db: sqlite3.Connection, keep: Keep, now_ms: int) -> Trim | None:
        """Give what is to go now; None: nothing, or nothing among the rooms that were looked at.

        Raises sqlite3.Error.
        """
        if keep.posts_per_room is not None:
            for room, top in self._tops.items():
                low = self._oldest.get(room, 1)
                if top - low + 1 > keep.posts_per_room:
                    return Trim(room, min(top - keep.posts_per_room, low + STEP_POSTS - 1))
        if keep.total_bytes is not None and _used_bytes(db) > keep.total_bytes:
            room = max(self._tops, key=lambda name: self._tops[name] - self._oldest.get(name, 1))
            low, top = self._oldest.get(room, 1), self._tops[room]
            if low <= top:
                return Trim(room, min(top, low + STEP_POSTS - 1))
        if keep.days is not None:
            return self._too_old(db, now_ms - keep.days * _DAY_MS)
        return None

    def _too_old(self, db: sqlite3.Connection, before_ms: int) -> Trim | None:
        begin = self._looked if self._looked < len(self._tops) else 0
        self._looked = begin + _STEP_ROOMS
        for room in islice(self._tops, begin, begin + _STEP_ROOMS):
            low = self._oldest.get(room, 1)
            rows = db.execute(
                "SELECT position, time FROM posts WHERE room = ? AND position >= ?"
                " ORDER BY position LIMIT ?",
                (self._rooms[room], low, STEP_POSTS),
            )
            upto = 0
            for position, at in rows:
                if at >= before_ms:
                    break
                upto = position
            if upto:
                self._looked = begin  # there may be more of it
                return Trim(room, upto)
        return None


def delete(
    db: sqlite3.Connection, room: int, trim: Trim, top: int, oldest: MutableMapping[str, int]
) -> None:
    """Delete a room's posts up to a position, or as many as a step takes, in one transaction.

    `oldest` moves before they go: whoever reads must not take what is gone for damage.
    Raises sqlite3.Error.
    """
    db.execute("BEGIN IMMEDIATE")
    low = oldest.get(trim.room, 1)
    for _ in _bits():
        low = min(low + _BIT_POSTS, trim.upto + 1)
        oldest[trim.room] = low
        db.execute("DELETE FROM posts WHERE room = ? AND position < ?", (room, low))
        if low > trim.upto:
            break
    db.execute("UPDATE rooms SET top = max(top, ?) WHERE id = ?", (top, room))
    db.execute("COMMIT")


def give_back(db: sqlite3.Connection) -> bool:
    """Give free space back to the disk, a step of it; say whether there was any to give.

    Some is left, for what comes next. Raises sqlite3.Error.
    """
    for _ in _bits():
        pages, free = _pages(db)
        if free * _FREE <= pages:
            return False
        # As a script: `execute` stops at the first row, of which this gives one for each page.
        db.executescript(f"PRAGMA incremental_vacuum({_BIT_PAGES})")
    return True


def _bits() -> Iterator[None]:
    """Yield, at least once, until a step has taken long enough."""
    end = time.perf_counter() + _STEP_SECONDS
    yield
    while time.perf_counter() < end:
        yield


def _used_bytes(db: sqlite3.Connection) -> int:
    pages, free = _pages(db)
    (size,) = db.execute("PRAGMA page_size").fetchone()
    used: int = (pages - free) * size
    return used


def _pages(db: sqlite3.Connection) -> tuple[int, int]:
    """Give how many pages the file has, and how many of them are free."""
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    return pages, free
