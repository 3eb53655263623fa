"""Stores posts and topics: the only connection that writes, used by one native thread.

SQLite before 3.51.3 can corrupt a file that two connections write and checkpoint.
"""

import os
import sqlite3
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from geventchat.server.timeline import Batch, RecordChange, Submission
from geventchat.server.timeline.clock import Clock
from geventchat.server.timeline.sqlite import remains
from geventchat.server.timeline.sqlite.disk import Space, probe
from geventchat.server.timeline.sqlite.retention import (
    Retention,
    StoredRoom,
    delete,
    load,
    release_space,
)
from geventchat.server.timeline.sqlite.rollback_guard import RollbackGuard
from geventchat.server.timeline.sqlite.schema import (
    COLUMNS,
    connect,
    make_durable,
    new_epoch,
    prepare,
    room_bytes,
)
from geventchat.server.timeline.sqlite.turn import Repetition, Turn

TOTALS_SECONDS: Final = 0.9
"""Minimum interval between two writes of the totals; due once a second."""
_READERS_MS: Final = 20
"""How long a commit may have to wait for readers of the log before it is cleaned."""
_RESTORE: Final = (
    f"INSERT OR REPLACE INTO posts ({COLUMNS}) VALUES ({', '.join('?' * len(COLUMNS.split(', ')))})"
)
_NEWEST_POSTS: Final = (
    "SELECT name, coalesce(position, top), coalesce(time, 0) FROM rooms LEFT JOIN posts"
    " ON room = rooms.id AND position = (SELECT max(position) FROM posts WHERE room = rooms.id)"
    " WHERE name >= ? AND name < ?"
)


class Store:
    """The stored rooms, and all changes of them. Raises sqlite3.Error."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.guard = RollbackGuard(path)
        self.rooms: dict[str, StoredRoom] = {}
        """The open rooms. This thread adds them; the timeline removes them, in its own thread."""
        self._unconfirmed: dict[str, StoredRoom] = {}
        """Rooms of a transaction that is not known to be committed, as they were before it."""
        self._former: list[tuple[Any, ...]] = []
        """The rows of posts before that transaction changed them."""
        self.posts = 0
        """Number of posts and changes ever stored; after a crash, up to one second before it."""
        self.room_bytes = 0
        """Size of rooms and topics in the file."""
        self._written_totals = (0, 0)
        """`posts` and `room_bytes` as they are in the file."""
        self._totals_written_at = 0.0
        self.retention = Retention(self.rooms)
        self.trimmed = 0
        """Number of posts that retention has deleted."""
        self.clock_ahead_ms = 0
        """How far the clock is ahead of what it can be; then no post is too old."""
        self.failing = False
        """Whether a write failed, and since then no post of `probe_bytes` was known to fit."""
        self.probe_bytes = 0
        self.recoveries = 0
        """How often `failing` has ended."""
        self.space = Space(path)
        self.has_remains = False
        """Whether parts of redacted texts may be in the file or in the log."""
        self._cleaning = False
        self._file: int | None = None
        """The file, if it was searched. To close it while the database is open would release the
        locks of SQLite."""
        self.renewed = False
        """Whether a rollback was detected at the start, and a new epoch started."""
        self.db: sqlite3.Connection | None = connect(path)
        try:
            self._open(self.db)
        except BaseException:
            self.db.close()
            raise

    def _open(self, db: sqlite3.Connection) -> None:
        """Prepare the tables, load the totals, and start a new epoch after a rollback."""
        self.fully_checked = prepare(db)
        self.reload()
        self.has_remains = bool(self.records("remains"))
        self.renewed = self.guard.detects_rollback(self.epoch, self.posts)
        self.clock = Clock(self.guard.last_ms)
        if self.renewed:
            self.renew()

    def reload(self) -> None:
        """Load the epoch and the totals from the file."""
        self.epoch, self.posts, self.room_bytes = (
            self._connection().execute("SELECT epoch, posts, room_bytes FROM store").fetchone()
        )
        self._written_totals = self.posts, self.room_bytes

    def renew(self) -> None:
        """Start a new epoch, which makes the positions of all clients void."""
        self.epoch = new_epoch()
        db = self._connection()
        db.execute("UPDATE store SET epoch = ?", (self.epoch,))
        self._update_guard()

    def close(self) -> None:
        """Write the totals and the guard, and close the connection."""
        if self.db is not None:
            with suppress(sqlite3.Error):
                self._write_totals(self.db, at_once=True)
            self.db.close()
            self.db = None
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def open(self, name: str) -> None:
        """Load a room into `rooms`."""
        if name not in self.rooms:
            self.rooms[name] = self._guarded_load(name)

    def store(self, submitted: list[Submission]) -> Batch:
        """Store submissions in one transaction, or none of them."""
        try:
            return self._try_to_store(self._connection(), submitted)
        except BaseException:
            self._discard_connection()
            raise

    def newest_posts(self, prefix: str) -> list[tuple[str, int, int]]:
        """Return name, newest position and its time of the rooms that begin with a character."""
        following = chr(ord(prefix) + 1)
        return self._connection().execute(_NEWEST_POSTS, (prefix, following)).fetchall()

    def records(self, kind: str) -> list[tuple[str, bytes]]:
        """Return the records of a kind, by id."""
        query = "SELECT id, value FROM records WHERE kind = ? ORDER BY id"
        return self._connection().execute(query, (kind,)).fetchall()

    def keep(self, changes: Sequence[RecordChange]) -> None:
        """Write records in one transaction, or none of them.

        A failed commit may be found complete later; who asked writes the records again.
        """
        written = [change for change in changes if change[2] is not None]
        deleted = [change[:2] for change in changes if change[2] is None]
        try:
            db = self._connection()
            db.execute("BEGIN IMMEDIATE")
            db.executemany("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", written)
            db.executemany("DELETE FROM records WHERE kind = ? AND id = ?", deleted)
            db.execute("COMMIT")
        except BaseException:
            self._discard_connection()
            raise

    def trim(self) -> bool:
        """Take one step of retention; return whether there was anything to do."""
        try:
            db = self._connection()
            away = self.retention.policy.away_ms
            self.clock_ahead_ms = self.clock.ahead_ms(away) if self.retention.policy.days else 0
            now = None if self.clock_ahead_ms else self.clock.now_ms()
            # Without fsync: posts that reappear after a power failure are deleted again.
            db.execute("PRAGMA synchronous = NORMAL")
            trim = self.retention.next(db, now, self.room_bytes)
            if trim is not None:
                self.trimmed += delete(db, trim)
            # Pages must not change places while they are searched.
            trimmed = trim is not None or (not self._cleaning and release_space(db))
            make_durable(db)
        except BaseException:
            self._discard_connection()
            raise
        return trimmed

    def maintain(self) -> None:
        """Write the totals, and reconnect if the disk failed. Due once a second."""
        self.space.measure()
        try:
            db = self._connection()
            self._write_totals(db)
            self.space.shrink(db)
        except BaseException:
            self._discard_connection()
            raise

    def begin_cleaning(self) -> int | None:
        """Empty the log, which has former texts; return the file, to be searched for remains.

        Returns None if something reads the log.
        """
        try:
            if not self.space.empty_log(self._connection(), _READERS_MS):
                return None
        except BaseException:
            self._discard_connection()
            raise
        if self._file is None:
            self._file = os.open(os.path.realpath(self._path), os.O_RDWR | os.O_CLOEXEC)
        self.has_remains, self._cleaning = False, True
        return self._file

    def remove_remains(self, pages: list[int]) -> bool:
        """Remove the remains in some pages; return whether nothing kept it from doing so."""
        try:
            db = self._connection()
            if not self.space.empty_log(db, _READERS_MS):
                return False
            assert self._file is not None
            remains.remove(self._file, pages)
            db.execute("PRAGMA shrink_memory")  # pages in memory still have them
        except BaseException:
            self.has_remains, self._cleaning = True, False
            self._discard_connection()
            raise
        return True

    def end_cleaning(self) -> None:
        """Note that nothing remains, unless something was redacted meanwhile."""
        self._cleaning = False
        try:
            if not self.has_remains:
                self._connection().execute("DELETE FROM records WHERE kind = 'remains'")
        except BaseException:
            self.has_remains = True
            self._discard_connection()
            raise

    def probe(self) -> None:
        """Find out whether a post fits again. Due once a second while `failing`."""
        try:
            if probe(self._connection(), self.probe_bytes):
                self.failing = False
                self.recoveries += 1
        except BaseException:
            self._discard_connection()
            raise

    def _write_totals(self, db: sqlite3.Connection, *, at_once: bool = False) -> None:
        """Write the totals if that is due, to the file first: the guard must never be ahead."""
        now = time.monotonic()
        if not at_once and now - self._totals_written_at < TOTALS_SECONDS:
            return
        counts = self.posts, self.room_bytes
        if counts != self._written_totals:
            db.execute("UPDATE store SET posts = ?, room_bytes = ?", counts)
            self._written_totals = counts
        self._update_guard(at_once=at_once)
        self._totals_written_at = now

    def _update_guard(self, *, at_once: bool = False) -> None:
        believed = self.clock.believed_ms(self.retention.policy.away_ms)
        self.guard.update(self.epoch, self.posts, believed, at_once=at_once)

    def _connection(self) -> sqlite3.Connection:
        """Return the connection, a new one if the last failed."""
        if self.db is None:
            self.db = connect(self._path)
            make_durable(self.db)
            self._roll_back_unacknowledged(self.db)
        return self.db

    def _roll_back_unacknowledged(self, db: sqlite3.Connection) -> None:
        """Delete the posts of a failed commit, whose authors were notified that it failed.

        Such a commit may be complete in the WAL and be found there, but nothing of it was
        delivered. The commit here overwrites it, and shows that the disk works again.
        """
        db.execute("BEGIN IMMEDIATE")
        for name, known in self._unconfirmed.items():
            found = db.execute("SELECT id FROM rooms WHERE name = ?", (name,)).fetchone()
            if found is None:
                continue
            (number,) = found
            if (room := self.rooms.get(name)) is not None:
                room.id = number
            db.execute("DELETE FROM posts WHERE room = ? AND position > ?", (number, known.top))
            db.execute("UPDATE rooms SET topic = ? WHERE id = ?", (known.topic, number))
            former = [row for row in self._former if row[0] == number and row[1] <= known.top]
            db.executemany(_RESTORE, former[::-1])  # of a post that was changed twice, the first
        # A failed trim may have moved `oldest`. Rooms are closed meanwhile, in the loop's thread.
        for room in list(self.rooms.values()):
            (low,) = db.execute(
                "SELECT min(position) FROM posts WHERE room = ?", (room.id,)
            ).fetchone()
            room.oldest = low or room.top + 1
        db.execute(
            "UPDATE store SET epoch = ?, posts = ?, room_bytes = ?",
            (self.epoch, self.posts, self.room_bytes),
        )
        db.execute("COMMIT")
        self._written_totals = self.posts, self.room_bytes
        self._unconfirmed, self._former = {}, []

    def _discard_connection(self) -> None:
        """Close a failed connection.

        Its view of the file may be wrong: after a failed fsync the kernel marks pages as clean that
        were not written, and the next fsync would succeed. The next connection writes them again,
        from the end of the last successful commit.
        """
        self.failing = True
        db, self.db = self.db, None
        if db is not None:
            with suppress(sqlite3.Error):
                if db.in_transaction:
                    db.execute("ROLLBACK")
            with suppress(sqlite3.Error):
                db.close()

    def _guarded_load(self, name: str) -> StoredRoom:
        try:
            return self._load(self._connection(), name)
        except BaseException:
            self._discard_connection()
            raise

    def _load(self, db: sqlite3.Connection, name: str) -> StoredRoom:
        """Return a room as it is stored, with the id 0 if it is not."""
        try:
            return load(db, "name", name)[1]
        except LookupError:
            return StoredRoom(0)

    def _try_to_store(self, db: sqlite3.Connection, submitted: list[Submission]) -> Batch:
        try:
            turn = self._write(db, submitted, looks_up=False)
        except Repetition:
            # Rare, and a savepoint to return to would copy each page that a turn changes.
            db.execute("ROLLBACK")
            turn = self._write(db, submitted, looks_up=True)
        db.execute("COMMIT")
        self._unconfirmed, self._former = {}, []
        self._apply(turn)
        turn.batch.entries = turn.entries
        return turn.batch

    def _write(
        self, db: sqlite3.Connection, submitted: list[Submission], *, looks_up: bool
    ) -> Turn:
        """Write a turn in a transaction, still to be committed."""
        turn = Turn(db, self._rooms_of(db, submitted), looks_up=looks_up)
        # What to roll back to unless the commit succeeds: only then are these rooms changed.
        self._unconfirmed, self._former = turn.rooms, turn.former
        db.execute("BEGIN IMMEDIATE")
        turn.take(submitted)
        return turn

    def _apply(self, turn: Turn) -> None:
        """Update rooms and totals after a commit."""
        rooms = turn.rooms
        for name, number in turn.made.items():
            rooms[name].id = number
            self.room_bytes += room_bytes("")
        for name, top in turn.tops.items():
            rooms[name].top = top
            self.retention.note_written(rooms[name])
        for name, topic in turn.topics.items():
            self.room_bytes += room_bytes(topic) - room_bytes(rooms[name].topic)
            rooms[name].topic = topic
        for name, change in turn.changes.items():
            self.posts += change - rooms[name].change
            rooms[name].change = change
        self.posts += turn.posts
        self.has_remains = self.has_remains or turn.redacts

    def _rooms_of(
        self, db: sqlite3.Connection, submitted: list[Submission]
    ) -> dict[str, StoredRoom]:
        """Return the rooms of submissions; those that are no longer open are loaded."""
        rooms: dict[str, StoredRoom] = {}
        for each in submitted:
            if each.room not in rooms:
                room = self.rooms.get(each.room)
                rooms[each.room] = room if room is not None else self._load(db, each.room)
        return rooms
