"""Retention: deletes the oldest posts by age, by number in a room, and by the size of the file.

It runs in steps of a few milliseconds between two batches, oldest posts first, so that the history
of a room has no hole; keys are deleted with their posts. A room that is trimmed empty remembers its
newest position. The cost of a step does not depend on the number of rooms: it examines those that
were written to, and the next few of a walk around all rooms with posts.
"""

import sqlite3
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from geventchat.server.timeline.clock import DAY_MS
from geventchat.server.timeline.retention_policy import RetentionPolicy

STEP_POSTS: Final = 200
"""Maximum number of posts deleted in one step."""
_STEP_SECONDS: Final = 0.002
"""Maximum duration of a step: a commit may have to wait for it."""
_BATCH_POSTS: Final = 5
_BATCH_PAGES: Final = 16
_STEP_ROOMS: Final = 50
"""Rooms of the walk that one step examines: some 0.5 ms."""
_FREE: Final = 8
"""Space is released to the disk while more than 1/8 of the pages are free."""


@dataclass(slots=True)
class StoredRoom:
    """A room as it is stored."""

    id: int
    top: int = 0
    """The newest position, even if that post was deleted."""
    oldest: int = 1
    """The position of the oldest post; one past `top` if there is none."""
    topic: str = ""
    change: int = 0
    """The number of the newest change, even if that post was deleted."""


@dataclass(frozen=True, slots=True)
class TrimStep:
    """Delete a room's posts up to a position."""

    room: StoredRoom
    upto: int


class Retention:
    """Finds the next posts to delete. `rooms` are the open ones by name. Used by one thread."""

    def __init__(self, rooms: Mapping[str, StoredRoom]) -> None:
        self._open = rooms
        self.policy = RetentionPolicy()
        self._written: dict[int, None] = {}
        """Ids of rooms that were written to and not examined since, in order."""
        self._walk_position = 0
        """The id of the last room that the walk has examined."""
        self.rounds = 0
        """Number of completed walks around all rooms."""

    def note_written(self, room: StoredRoom) -> None:
        """Note that a room has new posts."""
        if self.policy.posts_per_room is not None:
            self._written[room.id] = None

    def next(self, db: sqlite3.Connection, now_ms: int | None, room_bytes: int) -> TrimStep | None:
        """Return the next step; None: nothing to delete in the rooms that were examined.

        Without `now_ms` no post is too old.
        `room_bytes` is the size of rooms and topics in the file, for which no post is deleted.
        Raises sqlite3.Error.
        """
        policy = self.policy
        if policy.posts_per_room is not None:
            while self._written:
                room = self._room(db, next(iter(self._written)))
                if (trim := _too_many(room, policy.posts_per_room)) is not None:
                    return trim
                del self._written[room.id]
        self._written.clear()
        # Where the last step came to the last room the walk begins anew, so that it finds some.
        walked = [self._room(db, room) for room in self._walk(db) or self._walk(db)]
        if policy.total_bytes is not None and _used_bytes(db) - room_bytes > policy.total_bytes:
            largest = max([*self._open.values(), *walked], key=_kept, default=None)
            if largest is not None and _kept(largest):
                return TrimStep(largest, min(largest.top, largest.oldest + STEP_POSTS - 1))
        for room in walked:
            trim = None
            if policy.posts_per_room is not None:
                trim = _too_many(room, policy.posts_per_room)
            if trim is None and policy.days is not None and now_ms is not None:
                trim = _too_old(db, room, now_ms - policy.days * DAY_MS)
            if trim is not None:
                self._walk_position = room.id - 1  # there may be more of it
                return trim
        return None

    def _walk(self, db: sqlite3.Connection) -> list[int]:
        """Return the ids of the next rooms with posts; the last ends the walk."""
        found: list[int] = []
        while len(found) < _STEP_ROOMS:
            (room,) = db.execute(
                "SELECT min(room) FROM posts WHERE room > ?", (self._walk_position,)
            ).fetchone()
            if room is None:
                self._walk_position = 0
                self.rounds += 1
                break
            found.append(room)
            self._walk_position = room
        return found

    def _room(self, db: sqlite3.Connection, number: int) -> StoredRoom:
        """Load a room; if it is open return that object, since readers use its `oldest`."""
        name, room = load(db, "id", number)
        return self._open.get(name, room)


def load(db: sqlite3.Connection, by: str, value: object) -> tuple[str, StoredRoom]:
    """Load a room `by` name or id; return its name too. Raises LookupError, sqlite3.Error."""
    query = f"SELECT id, name, topic, top, change FROM rooms WHERE {by} = ?"
    row = db.execute(query, (value,)).fetchone()
    if row is None:
        raise LookupError(value)
    number, name, topic, remembered, known = row
    # One seek each; all in one SELECT would scan the room.
    (top,) = db.execute("SELECT max(position) FROM posts WHERE room = ?", (number,)).fetchone()
    (low,) = db.execute("SELECT min(position) FROM posts WHERE room = ?", (number,)).fetchone()
    (change,) = db.execute(
        "SELECT max(change) FROM posts WHERE room = ? AND change > 0", (number,)
    ).fetchone()
    change = max(change or 0, known)
    return name, StoredRoom(number, top or remembered, low or remembered + 1, topic, change)


def delete(db: sqlite3.Connection, trim: TrimStep) -> int:
    """Delete a room's posts up to a position, or as many as a step takes, in one transaction.

    Returns how many. `oldest` moves first: a reader must not take deleted posts for damage.
    Raises sqlite3.Error.
    """
    room = trim.room
    count = 0
    db.execute("BEGIN IMMEDIATE")
    for _ in _until_step_ends():
        room.oldest = min(room.oldest + _BATCH_POSTS, trim.upto + 1)
        count += db.execute(
            "DELETE FROM posts WHERE room = ? AND position < ?", (room.id, room.oldest)
        ).rowcount
        if room.oldest > trim.upto:
            break
    db.execute(
        "UPDATE rooms SET top = max(top, ?), change = max(change, ?) WHERE id = ?",
        (room.top, room.change, room.id),
    )
    db.execute("COMMIT")
    return count


def release_space(db: sqlite3.Connection) -> bool:
    """Release free space to the disk for one step; return whether there may be more.

    Some is left for new posts. Raises sqlite3.Error.
    """
    for _ in _until_step_ends():
        pages, free = _pages(db)
        if free * _FREE <= pages:
            return False
        # As a script: `execute` stops at the first row, and this returns a row for each page.
        db.executescript(f"PRAGMA incremental_vacuum({_BATCH_PAGES})")
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


def _until_step_ends() -> Iterator[None]:
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
    """Return the number of pages of the file, and of the free ones among them."""
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    return pages, free
