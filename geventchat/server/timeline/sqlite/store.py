"""Stores posts and topics: the only connection that writes, used by one native thread.

SQLite before 3.51.3 can corrupt a file that two connections write and checkpoint.
"""

import sqlite3
import time
from contextlib import suppress
from typing import Any, Final

from geventchat.protocol.events import Post, Topic
from geventchat.server.timeline import Batch, Entry, Submission
from geventchat.server.timeline.sqlite.clock import Clock
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
    checksum,
    connect,
    is_intact,
    make_durable,
    new_epoch,
    prepare,
    room_bytes,
)

TOTALS_SECONDS: Final = 0.9
"""Minimum interval between two writes of the totals; due once a second."""
_INSERT: Final = (
    "INSERT INTO posts VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (client, key, room) WHERE key IS NOT NULL DO NOTHING"
)


class _Turn:
    """The entries of one turn, and the rows to write for them."""

    def __init__(self) -> None:
        self.entries: list[tuple[Entry, int]] = []
        self.rows: list[tuple[object, ...]] = []
        self.tops: dict[str, int] = {}
        self.topics: dict[str, str] = {}


class Store:
    """The stored rooms, and all changes of them. Raises sqlite3.Error."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.guard = RollbackGuard(path)
        self.rooms: dict[str, StoredRoom] = {}
        """The open rooms. This thread adds them; the timeline removes them."""
        self._unconfirmed: dict[str, StoredRoom] = {}
        """Rooms of a transaction that is not known to be committed, as they were before it."""
        self.posts = 0
        """Number of posts ever stored; after a crash, up to one second before it."""
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

    def open(self, name: str) -> None:
        """Load a room into `rooms`."""
        if name not in self.rooms:
            self.rooms[name] = self._guarded_load(name)

    def store(self, submitted: list[Submission]) -> Batch:
        """Store submissions in one transaction, or none of them."""
        try:
            return self._try_to_store(self._connection(), submitted, Batch())
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
            trimmed = trim is not None or release_space(db)
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
            if name in self.rooms:
                self.rooms[name].id = number
            db.execute("DELETE FROM posts WHERE room = ? AND position > ?", (number, known.top))
            db.execute("UPDATE rooms SET topic = ? WHERE id = ?", (known.topic, number))
        for room in self.rooms.values():  # a failed trim may have moved `oldest`
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
        self._unconfirmed = {}

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

    def _try_to_store(
        self, db: sqlite3.Connection, submitted: list[Submission], batch: Batch
    ) -> Batch:
        rooms = self._rooms_of(db, submitted)
        # What to roll back to unless the commit succeeds: only then are these rooms changed.
        self._unconfirmed = rooms
        db.execute("BEGIN IMMEDIATE")
        made = self._add_rooms(db, rooms)
        before = db.total_changes
        turn = self._assign_positions(rooms, made, submitted)
        db.executemany(_INSERT, turn.rows)
        if db.total_changes - before != len(turn.rows):
            # Some submission is a repetition: rare, so only now each is looked up.
            db.execute("ROLLBACK")
            db.execute("BEGIN IMMEDIATE")
            fresh, again = self._deduplicate(db, rooms, submitted, batch)
            wanted = {each.room for each in fresh}
            made = self._add_rooms(db, {name: rooms[name] for name in wanted})
            turn = self._assign_positions(rooms, made, fresh)
            db.executemany(_INSERT, turn.rows)
            places = {number: entry for entry, number in turn.entries}
            for each, first in again:
                post = places[first.number]
                assert isinstance(post, Post)
                _add_verdict(batch, each, post.position, first.text)
        for name, topic in turn.topics.items():
            number = made.get(name) or rooms[name].id
            db.execute("UPDATE rooms SET topic = ? WHERE id = ?", (topic, number))
        db.execute("COMMIT")
        self._unconfirmed = {}
        self._apply(rooms, made, turn)
        batch.entries = turn.entries
        return batch

    def _apply(self, rooms: dict[str, StoredRoom], made: dict[str, int], turn: _Turn) -> None:
        """Update rooms and totals after a commit."""
        for name, number in made.items():
            rooms[name].id = number
            self.room_bytes += room_bytes("")
        for name, top in turn.tops.items():
            rooms[name].top = top
            self.retention.note_written(rooms[name])
        for name, topic in turn.topics.items():
            self.room_bytes += room_bytes(topic) - room_bytes(rooms[name].topic)
            rooms[name].topic = topic
        self.posts += len(turn.rows)

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

    def _add_rooms(self, db: sqlite3.Connection, rooms: dict[str, StoredRoom]) -> dict[str, int]:
        """Insert the rooms that are not stored yet; return their ids, valid after the commit."""
        made: dict[str, int] = {}
        for name, room in rooms.items():
            if not room.id:
                cursor = db.execute("INSERT INTO rooms (name) VALUES (?)", (name,))
                assert cursor.lastrowid is not None
                made[name] = cursor.lastrowid
        return made

    def _assign_positions(
        self, rooms: dict[str, StoredRoom], made: dict[str, int], submitted: list[Submission]
    ) -> _Turn:
        """Assign positions to submissions; return the entries, and the rows of the posts."""
        now = int(time.time() * 1000)
        turn = _Turn()
        entries, rows, tops = turn.entries, turn.rows, turn.tops
        for each in submitted:
            name, author, text, client, key = (
                each.room, each.author, each.text, each.client, each.key
            )  # fmt: skip
            if each.is_topic:
                turn.topics[name] = text
                entries.append((Topic(room=name, topic=text, by=author), each.number))
                continue
            known = rooms[name]
            room = known.id or made[name]
            position = tops[name] = (tops.get(name) or known.top) + 1
            entries.append((Post(name, position, author, now, text, key), each.number))
            total = checksum(room, position, now, author, text, client, key)
            rows.append((room, position, now, author, text, client, key, total))
        return turn

    def _deduplicate(
        self,
        db: sqlite3.Connection,
        rooms: dict[str, StoredRoom],
        submitted: list[Submission],
        batch: Batch,
    ) -> tuple[list[Submission], list[tuple[Submission, Submission]]]:
        """Return the first submission of each key, and repetitions paired with their first.

        Repetitions of stored posts get their verdict in the batch.
        """
        fresh: list[Submission] = []
        firsts: dict[tuple[bytes, str, str], Submission] = {}
        again: list[tuple[Submission, Submission]] = []
        for each in submitted:
            if each.key is None:
                fresh.append(each)
                continue
            slot = each.client, each.key, each.room
            stored = _stored_before(db, rooms[each.room].id, each)
            if stored is not None and not is_intact(*stored):
                batch.failed.append(each.number)  # the damaged text cannot be compared
            elif stored is not None:
                _add_verdict(batch, each, stored[1], stored[4])
            elif slot in firsts:
                again.append((each, firsts[slot]))
            else:
                firsts[slot] = each
                fresh.append(each)
        return fresh, again


def _stored_before(
    db: sqlite3.Connection, room: int, submission: Submission
) -> tuple[int, int, int, Any, Any, Any, Any, int] | None:
    """Return the row of the stored post with the key of a submission, if there is one."""
    db.text_factory = lambda text: text.decode("utf-8", "replace")  # a damaged one does not match
    try:
        found: tuple[int, int, int, Any, Any, Any, Any, int] | None = db.execute(
            "SELECT * FROM posts WHERE client = ? AND key = ? AND room = ?",
            (submission.client, submission.key, room),
        ).fetchone()
    finally:
        db.text_factory = str
    return found


def _add_verdict(batch: Batch, submission: Submission, position: int, text: str) -> None:
    if text == submission.text:
        batch.repeated.append((submission.number, position))
    else:
        batch.conflicts.append(submission.number)
