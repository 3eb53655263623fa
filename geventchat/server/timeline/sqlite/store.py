"""Storing the record: the one connection that writes, used by one native thread.

SQLite before 3.51.3 can corrupt a file that two connections write and checkpoint.
"""

import sqlite3
import time
from contextlib import suppress
from typing import Any, Final

from geventchat.protocol.events import Post, Topic
from geventchat.server.timeline import Batch, Entry, Submission
from geventchat.server.timeline.sqlite.retention import (
    Retention,
    StoredRoom,
    delete,
    give_back,
    load,
)
from geventchat.server.timeline.sqlite.rollback_guard import RollbackGuard
from geventchat.server.timeline.sqlite.schema import (
    connect,
    durable,
    is_whole,
    new_epoch,
    prepare,
    room_bytes,
    sum_of,
)

COUNT_SECONDS: Final = 0.9
"""How often it is written down how much there is; looked at once a second."""
_INSERT: Final = (
    "INSERT INTO posts VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (client, key, room) WHERE key IS NOT NULL DO NOTHING"
)


class _Turn:
    """What one turn writes."""

    def __init__(self) -> None:
        self.entries: list[tuple[Entry, int]] = []
        self.rows: list[tuple[object, ...]] = []
        self.tops: dict[str, int] = {}
        self.topics: dict[str, str] = {}


class Store:
    """The rooms as they are stored, and what changes them. Raises sqlite3.Error."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.guard = RollbackGuard(path)
        self.rooms: dict[str, StoredRoom] = {}
        """The open rooms. This thread puts them in; their user takes them out."""
        self._doubtful: dict[str, StoredRoom] = {}
        """Rooms that the last transaction would change, as they are known to be stored."""
        self.posts = 0
        """How many were ever stored; after a crash, up to a second ago."""
        self.room_bytes = 0
        """What rooms and topics take in the file."""
        self._counted = (0, 0)
        """The two as they are in the file."""
        self._counted_at = 0.0
        self.retention = Retention(self.rooms)
        self.renewed = False
        """Whether the record began a new life when it was opened."""
        self.db: sqlite3.Connection | None = connect(path)
        try:
            self._open(self.db)
        except BaseException:
            self.db.close()
            raise

    def _open(self, db: sqlite3.Connection) -> None:
        """Make the tables ours, and learn what they hold."""
        self.looked_at = prepare(db)
        self.learn()
        if self.guard.contradicts(self.epoch, self.posts):
            self.renew()
            self.renewed = True

    def learn(self) -> None:
        """Learn anew what the file says of the whole record."""
        self.epoch, self.posts, self.room_bytes = (
            self._ready().execute("SELECT epoch, posts, room_bytes FROM store").fetchone()
        )
        self._counted = self.posts, self.room_bytes

    def renew(self) -> None:
        """Begin a new life of the record: nobody's position in it counts any more."""
        self.epoch = new_epoch()
        db = self._ready()
        db.execute("UPDATE store SET epoch = ?", (self.epoch,))
        self.guard.saw(self.epoch, self.posts)

    def close(self) -> None:
        """Close the connection; the guard has seen all."""
        if self.db is not None:
            with suppress(sqlite3.Error):
                self._count(self.db, at_once=True)
            self.db.close()
            self.db = None

    def open(self, name: str) -> None:
        """Keep a room in `rooms`, as it is stored."""
        if name not in self.rooms:
            self.rooms[name] = self._guarded_load(name)

    # What is submitted

    def store(self, submitted: list[Submission]) -> Batch:
        """Store submissions in one transaction, or nothing of it."""
        try:
            return self._try_to_store(self._ready(), submitted, Batch())
        except BaseException:
            self._give_up()
            raise

    def trim(self) -> bool:
        """Delete what is to be kept no longer, one step of it; return whether anything went."""
        try:
            db = self._ready()
            # No fsync of its own: what a power failure brings back will go again.
            db.execute("PRAGMA synchronous = NORMAL")
            trim = self.retention.next(db, int(time.time() * 1000), self.room_bytes)
            if trim is not None:
                delete(db, trim)
            went = trim is not None or give_back(db)
            durable(db)
        except BaseException:
            self._give_up()
            raise
        return went

    def tend(self) -> None:
        """Do what is due once a second: count, and find out whether a failed disk works again."""
        try:
            self._count(self._ready())
        except BaseException:
            self._give_up()
            raise

    def _count(self, db: sqlite3.Connection, *, at_once: bool = False) -> None:
        """Write down how much there is, if it is time to.

        First in the file, so that the guard never knows more.
        """
        now = time.monotonic()
        if not at_once and now - self._counted_at < COUNT_SECONDS:
            return
        counts = self.posts, self.room_bytes
        if counts != self._counted:
            db.execute("UPDATE store SET posts = ?, room_bytes = ?", counts)
            self._counted = counts
        self.guard.saw(self.epoch, self.posts)
        self._counted_at = now

    def _ready(self) -> sqlite3.Connection:
        """Return the connection, a new one if the last has failed."""
        if self.db is None:
            self.db = connect(self._path)
            durable(self.db)
            self._take_back(self.db)
        return self.db

    def _take_back(self, db: sqlite3.Connection) -> None:
        """Let the file hold what is known to be stored, and no more.

        A commit that failed may be whole in the log all the same, and be found there. Nobody has
        heard of it, and its authors were told that it is not stored. This commit is written over
        it, and shows that the disk is good again.
        """
        db.execute("BEGIN IMMEDIATE")
        for name, known in self._doubtful.items():
            found = db.execute("SELECT id FROM rooms WHERE name = ?", (name,)).fetchone()
            if found is None:
                continue
            (number,) = found
            if name in self.rooms:
                self.rooms[name].id = number
            db.execute("DELETE FROM posts WHERE room = ? AND position > ?", (number, known.top))
            db.execute("UPDATE rooms SET topic = ? WHERE id = ?", (known.topic, number))
        for room in self.rooms.values():  # a trim that failed may have moved it
            (low,) = db.execute(
                "SELECT min(position) FROM posts WHERE room = ?", (room.id,)
            ).fetchone()
            room.oldest = low or room.top + 1
        db.execute(
            "UPDATE store SET epoch = ?, posts = ?, room_bytes = ?",
            (self.epoch, self.posts, self.room_bytes),
        )
        db.execute("COMMIT")
        self._counted = self.posts, self.room_bytes
        self._doubtful = {}

    def _give_up(self) -> None:
        """Let go of a connection that has failed.

        What it holds in its memory may not be what is on the disk: after an fsync that failed the
        kernel takes pages for written which are not, and would say so the next time it is asked.
        The next connection writes them anew, from the end of the last commit that did succeed.
        """
        db, self.db = self.db, None
        if db is not None:
            with suppress(sqlite3.Error):
                if db.in_transaction:
                    db.execute("ROLLBACK")
            with suppress(sqlite3.Error):
                db.close()

    def _guarded_load(self, name: str) -> StoredRoom:
        try:
            return self._load(self._ready(), name)
        except BaseException:
            self._give_up()
            raise

    def _load(self, db: sqlite3.Connection, name: str) -> StoredRoom:
        """Return a room as it is stored; with the id 0 if it is not."""
        try:
            return load(db, "name", name)[1]
        except LookupError:
            return StoredRoom(0)

    def _try_to_store(
        self, db: sqlite3.Connection, submitted: list[Submission], batch: Batch
    ) -> Batch:
        rooms = self._rooms_of(db, submitted)
        # As they are known to be stored, unless the commit succeeds.
        self._doubtful = {
            name: StoredRoom(room.id, room.top, room.oldest, room.topic)
            for name, room in rooms.items()
        }
        db.execute("BEGIN IMMEDIATE")
        made = self._add_rooms(db, rooms)
        before = db.total_changes
        turn = self._number(rooms, made, submitted)
        db.executemany(_INSERT, turn.rows)
        if db.total_changes - before != len(turn.rows):
            # Something was said before: rare, so only now is each looked up.
            db.execute("ROLLBACK")
            db.execute("BEGIN IMMEDIATE")
            fresh, again = self._once(db, rooms, submitted, batch)
            wanted = {each.room for each in fresh}
            made = self._add_rooms(db, {name: rooms[name] for name in wanted})
            turn = self._number(rooms, made, fresh)
            db.executemany(_INSERT, turn.rows)
            places = {number: entry for entry, number in turn.entries}
            for each, first in again:
                post = places[first.number]
                assert isinstance(post, Post)
                _judge(batch, each, post.position, first.text)
        for name, topic in turn.topics.items():
            number = made.get(name) or rooms[name].id
            db.execute("UPDATE rooms SET topic = ? WHERE id = ?", (topic, number))
        db.execute("COMMIT")
        self._doubtful = {}
        self._apply(rooms, made, turn)
        batch.entries = turn.entries
        return batch

    def _apply(self, rooms: dict[str, StoredRoom], made: dict[str, int], turn: _Turn) -> None:
        """Know as stored what was committed."""
        for name, number in made.items():
            rooms[name].id = number
            self.room_bytes += room_bytes("")
        for name, top in turn.tops.items():
            rooms[name].top = top
            self.retention.wrote(rooms[name])
        for name, topic in turn.topics.items():
            self.room_bytes += room_bytes(topic) - room_bytes(rooms[name].topic)
            rooms[name].topic = topic
        self.posts += len(turn.rows)

    def _rooms_of(
        self, db: sqlite3.Connection, submitted: list[Submission]
    ) -> dict[str, StoredRoom]:
        """Return the rooms of submissions; one that is not open any more is looked up."""
        rooms: dict[str, StoredRoom] = {}
        for each in submitted:
            if each.room not in rooms:
                room = self.rooms.get(each.room)
                rooms[each.room] = room if room is not None else self._load(db, each.room)
        return rooms

    def _add_rooms(self, db: sqlite3.Connection, rooms: dict[str, StoredRoom]) -> dict[str, int]:
        """Make rows for the rooms that have none; return their ids, which count from commit on."""
        made: dict[str, int] = {}
        for name, room in rooms.items():
            if not room.id:
                cursor = db.execute("INSERT INTO rooms (name) VALUES (?)", (name,))
                assert cursor.lastrowid is not None
                made[name] = cursor.lastrowid
        return made

    def _number(
        self, rooms: dict[str, StoredRoom], made: dict[str, int], submitted: list[Submission]
    ) -> _Turn:
        """Give submissions their places: entries, and the rows of the posts."""
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
            total = sum_of(room, position, now, author, text, client, key)
            rows.append((room, position, now, author, text, client, key, total))
        return turn

    def _once(
        self,
        db: sqlite3.Connection,
        rooms: dict[str, StoredRoom],
        submitted: list[Submission],
        batch: Batch,
    ) -> tuple[list[Submission], list[tuple[Submission, Submission]]]:
        """Return the first submissions of each key, and those that repeat one of this very turn.

        What is stored already gets its verdict in the batch.
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
            if stored is not None and not is_whole(*stored):
                batch.failed.append(each.number)  # whether it repeats that post cannot be known
            elif stored is not None:
                _judge(batch, each, stored[1], stored[4])
            elif slot in firsts:
                again.append((each, firsts[slot]))
            else:
                firsts[slot] = each
                fresh.append(each)
        return fresh, again


def _stored_before(
    db: sqlite3.Connection, room: int, submission: Submission
) -> tuple[int, int, int, Any, Any, Any, Any, int] | None:
    """Return the post that has the key of a submission, with its room, if there is one."""
    db.text_factory = _lenient
    try:
        found: tuple[int, int, int, Any, Any, Any, Any, int] | None = db.execute(
            "SELECT * FROM posts WHERE client = ? AND key = ? AND room = ?",
            (submission.client, submission.key, room),
        ).fetchone()
    finally:
        db.text_factory = str
    return found


def _lenient(text: bytes) -> str:
    """Return a damaged text too, for its sum to show it."""
    return text.decode("utf-8", "replace")


def _judge(batch: Batch, submission: Submission, position: int, text: str) -> None:
    if text == submission.text:
        batch.repeated.append((submission.number, position))
    else:
        batch.conflicts.append(submission.number)
