"""Deleting the oldest posts: by age, by number in a room, by the size of the file.

In steps of a few milliseconds between two batches, oldest first, so that what is kept of a room has
no hole; keys go with their posts. A room that is trimmed empty remembers its top. What a step costs
does not depend on how many rooms there are: it looks at those that were written to, and at the next
few of a walk around all rooms that have posts.
"""

import sqlite3
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Self

from geventchat.config import Limits

STEP_POSTS: Final = 200
"""Posts that one step deletes at most,"""
_STEP_SECONDS: Final = 0.002
"""and how long it may take: a commit may have to wait for it."""
_BIT_POSTS: Final = 5
_BIT_PAGES: Final = 16
_STEP_ROOMS: Final = 50
"""Rooms of the walk that one step looks at: some 0.5 ms."""
_FREE: Final = 8
"""The file gives space back to the disk when more than one page in so many is free."""
_DAY_MS: Final = 24 * 60 * 60 * 1000


@dataclass(slots=True)
class StoredRoom:
    """A room as it is stored."""

    id: int
    top: int = 0
    """Its newest position, also when that post was deleted."""
    oldest: int = 1
    """Its oldest kept position; one beyond the top if none is."""
    topic: str = ""


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """What is kept; None: no bound."""

    days: int | None = None
    posts_per_room: int | None = None
    total_bytes: int | None = None

    @classmethod
    def of(cls, limits: Limits) -> Self:
        """Return what these limits say of history."""
        return cls(limits.history_days, limits.history_posts_per_room, limits.history_bytes)

    def __bool__(self) -> bool:
        return any((self.days, self.posts_per_room, self.total_bytes))


@dataclass(frozen=True, slots=True)
class TrimStep:
    """A room's posts up to a position are to be deleted."""

    room: StoredRoom
    upto: int


class Retention:
    """Finds what is to be deleted next. `rooms` are the open ones, by name; used by one thread."""

    def __init__(self, rooms: Mapping[str, StoredRoom]) -> None:
        self._open = rooms
        self.keep = RetentionPolicy()
        self._written: dict[int, None] = {}
        """Ids of rooms that were written to and not looked at since, in order."""
        self._walked = 0
        """The id that the walk around all rooms has come to."""
        self.rounds = 0
        """How often the walk has been around."""

    def wrote(self, room: StoredRoom) -> None:
        """Note that a room has new posts."""
        if self.keep.posts_per_room is not None:
            self._written[room.id] = None

    def next(self, db: sqlite3.Connection, now_ms: int, room_bytes: int) -> TrimStep | None:
        """Return what is to be deleted now; None: nothing among the rooms that were looked at.

        `room_bytes` is what rooms and topics take in the file: they never cost posts.
        Raises sqlite3.Error.
        """
        keep = self.keep
        if keep.posts_per_room is not None:
            while self._written:
                room = self._room(db, next(iter(self._written)))
                if (trim := _too_many(room, keep.posts_per_room)) is not None:
                    return trim
                del self._written[room.id]
        self._written.clear()
        walked = [self._room(db, room) for room in self._walk(db)]
        if keep.total_bytes is not None and _used_bytes(db) - room_bytes > keep.total_bytes:
            largest = max([*self._open.values(), *walked], key=_kept, default=None)
            if largest is not None and _kept(largest):
                return TrimStep(largest, min(largest.top, largest.oldest + STEP_POSTS - 1))
        for room in walked:
            trim = None
            if keep.posts_per_room is not None:
                trim = _too_many(room, keep.posts_per_room)
            if trim is None and keep.days is not None:
                trim = _too_old(db, room, now_ms - keep.days * _DAY_MS)
            if trim is not None:
                self._walked = room.id - 1  # there may be more of it
                return trim
        return None

    def _walk(self, db: sqlite3.Connection) -> list[int]:
        """Return the ids of the next rooms that have posts; a walk ends after the last."""
        found: list[int] = []
        while len(found) < _STEP_ROOMS:
            (room,) = db.execute(
                "SELECT min(room) FROM posts WHERE room > ?", (self._walked,)
            ).fetchone()
            if room is None:
                self._walked = 0
                self.rounds += 1
                break
            found.append(room)
            self._walked = room
        return found

    def _room(self, db: sqlite3.Connection, number: int) -> StoredRoom:
        """Return a room, the very object if it is open, for `oldest` to move where it is read."""
        name, room = load(db, "id", number)
        return self._open.get(name, room)


def load(db: sqlite3.Connection, by: str, value: object) -> tuple[str, StoredRoom]:
    """Return a room and its name, found `by` its name or id. Raises LookupError, sqlite3.Error."""
    row = db.execute(f"SELECT id, name, topic, top FROM rooms WHERE {by} = ?", (value,)).fetchone()
    if row is None:
        raise LookupError(value)
    number, name, topic, remembered = row
    # One seek each; both in one SELECT would scan the room.
    (top,) = db.execute("SELECT max(position) FROM posts WHERE room = ?", (number,)).fetchone()
    (low,) = db.execute("SELECT min(position) FROM posts WHERE room = ?", (number,)).fetchone()
    return name, StoredRoom(number, top or remembered, low or remembered + 1, topic)


def delete(db: sqlite3.Connection, trim: TrimStep) -> None:
    """Delete a room's posts up to a position, or as many as a step takes, in one transaction.

    `oldest` moves first: a reader must not take deleted posts for damage. Raises sqlite3.Error.
    """
    room = trim.room
    db.execute("BEGIN IMMEDIATE")
    for _ in _bits():
        room.oldest = min(room.oldest + _BIT_POSTS, trim.upto + 1)
        db.execute("DELETE FROM posts WHERE room = ? AND position < ?", (room.id, room.oldest))
        if room.oldest > trim.upto:
            break
    db.execute("UPDATE rooms SET top = max(top, ?) WHERE id = ?", (room.top, room.id))
    db.execute("COMMIT")


def give_back(db: sqlite3.Connection) -> bool:
    """Give free space back to the disk, a step of it; return whether there was any to give.

    Some is left, for what comes next. Raises sqlite3.Error.
    """
    for _ in _bits():
        pages, free = _pages(db)
        if free * _FREE <= pages:
            return False
        # As a script: `execute` stops at the first row, of which this gives one for each page.
        db.executescript(f"PRAGMA incremental_vacuum({_BIT_PAGES})")
    return True


def _kept(room: StoredRoom) -> int:
    return room.top - room.oldest + 1


def _too_many(room: StoredRoom, most: int) -> TrimStep | None:
    if _kept(room) <= most:
        return None
    return TrimStep(room, min(room.top - most, room.oldest + STEP_POSTS - 1))


def _too_old(db: sqlite3.Connection, room: StoredRoom, before_ms: int) -> TrimStep | None:
    rows = db.execute(
        "SELECT position, time FROM posts WHERE room = ? AND position >= ?"
        " ORDER BY position LIMIT ?",
        (room.id, room.oldest, STEP_POSTS),
    )
    upto = 0
    for position, at in rows:
        if at >= before_ms:
            break
        upto = position
    return TrimStep(room, upto) if upto else None


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
    """Return how many pages the file has, and how many of them are free."""
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    return pages, free
