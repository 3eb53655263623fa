"""Storing the record: the one connection that writes, used by one native thread.

SQLite before 3.51.3 can corrupt a file that two connections write and checkpoint.
"""

import sqlite3
import time
from contextlib import suppress
from typing import Any, Final

from geventchat.protocol.events import Post
from geventchat.server.timeline import Batch, Said
from geventchat.server.timeline.sqlite.retention import Keep, Retention, delete, give_back
from geventchat.server.timeline.sqlite.schema import (
    connect,
    durable,
    is_whole,
    new_epoch,
    prepare,
    sum_of,
)
from geventchat.server.timeline.sqlite.witness import Witness

_INSERT: Final = (
    "INSERT INTO posts VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (client, key, room) WHERE key IS NOT NULL DO NOTHING"
)
_LOWEST: Final = "SELECT min(position) FROM posts WHERE room = ?"
_HIGHEST: Final = "SELECT max(position) FROM posts WHERE room = ?"


class Store:
    """The rooms as they are stored, and what changes them. Raises sqlite3.Error."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._witness = Witness(path)
        self.rooms: dict[str, int] = {}
        self.tops: dict[str, int] = {}
        self.oldest: dict[str, int] = {}
        self.topics: dict[str, str] = {}
        self.posts = 0
        """How many were ever stored: the sum of the tops."""
        self._retention = Retention(self.rooms, self.tops, self.oldest)
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
        (self.epoch,) = db.execute("SELECT epoch FROM store").fetchone()
        for room, name, topic, remembered in db.execute(
            "SELECT id, name, topic, top FROM rooms"
        ).fetchall():
            self.rooms[name] = room
            if topic:
                self.topics[name] = topic
            # One seek each; both in one SELECT would scan the room.
            (top,) = db.execute(_HIGHEST, (room,)).fetchone()
            (low,) = db.execute(_LOWEST, (room,)).fetchone()
            if top is not None or remembered:
                self.tops[name] = top or remembered
                self.oldest[name] = low or remembered + 1
        self.posts = sum(self.tops.values())
        if self._witness.contradicts(self.epoch, self.posts):
            self.renew()
            self.renewed = True

    def renew(self) -> None:
        """Begin a new life of the record: nobody's position in it counts any more."""
        self.epoch = new_epoch()
        db = self._ready()
        db.execute("UPDATE store SET epoch = ?", (self.epoch,))
        self._witness.saw(self.epoch, self.posts, at_once=True)

    def close(self) -> None:
        """Close the connection; the witness has seen all."""
        if self.db is not None:
            self._witness.saw(self.epoch, self.posts, at_once=True)
            self.db.close()
            self.db = None

    # What is said

    def store(self, said: list[Said]) -> Batch:
        """Store what was said in one transaction, or nothing of it."""
        try:
            batch = self._try_to_store(self._ready(), said, Batch())
        except BaseException:
            self._give_up()
            raise
        self._witness.saw(self.epoch, self.posts)
        return batch

    def set_topic(self, name: str, topic: str) -> None:
        """Keep a room's topic."""
        try:
            (self.rooms[name],) = (
                self._ready()
                .execute(
                    "INSERT INTO rooms (name, topic) VALUES (?1, ?2)"
                    " ON CONFLICT (name) DO UPDATE SET topic = ?2 RETURNING id",
                    (name, topic),
                )
                .fetchone()
            )
        except BaseException:
            self._give_up()
            raise
        self.topics[name] = topic

    def trim(self, keep: Keep) -> bool:
        """Let go of what is to be kept no longer, one step of it; say whether anything went."""
        try:
            db = self._ready()
            # No fsync of its own: what a power failure brings back will go again.
            db.execute("PRAGMA synchronous = NORMAL")
            trim = self._retention.next(db, keep, int(time.time() * 1000))
            if trim is not None:
                top = self.tops[trim.room]
                delete(db, self.rooms[trim.room], trim, top, self.oldest)
            went = trim is not None or give_back(db)
            durable(db)
        except BaseException:
            self._give_up()
            raise
        return went

    def tend(self) -> None:
        """Do what is due once a second: find out whether a disk that failed is good again."""
        try:
            self._ready()
        except BaseException:
            self._give_up()
            raise
        self._witness.saw(self.epoch, self.posts)

    def _ready(self) -> sqlite3.Connection:
        """Give the connection, a new one if the last has failed."""
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
        for room, name in db.execute("SELECT id, name FROM rooms").fetchall():
            self.rooms[name] = room
            top = self.tops.get(name, 0)
            db.execute("DELETE FROM posts WHERE room = ? AND position > ?", (room, top))
            db.execute("UPDATE rooms SET topic = ? WHERE id = ?", (self.topics.get(name, ""), room))
            (low,) = db.execute(_LOWEST, (room,)).fetchone()
            if top:
                self.oldest[name] = low or top + 1
        db.execute("UPDATE store SET epoch = ?", (self.epoch,))
        db.execute("COMMIT")

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

    def _try_to_store(self, db: sqlite3.Connection, said: list[Said], batch: Batch) -> Batch:
        db.execute("BEGIN IMMEDIATE")
        before = db.total_changes
        batch.posts, rows, rooms = self._number(db, said)
        db.executemany(_INSERT, rows)
        if db.total_changes - before != len(rows) + len(rooms):
            # Something was said before: rare, so only now is each looked up.
            db.execute("ROLLBACK")
            db.execute("BEGIN IMMEDIATE")
            fresh, again = self._once(db, said, batch)
            batch.posts, rows, rooms = self._number(db, fresh)
            db.executemany(_INSERT, rows)
            positions = {id(each): post.position for post, each in batch.posts}
            for each, first in again:
                _judge(batch, each, positions[id(first)], first.text)
        db.execute("COMMIT")
        self.rooms |= rooms
        for post, _ in batch.posts:
            self.tops[post.room] = post.position
        self.posts += len(batch.posts)
        return batch

    def _number(
        self, db: sqlite3.Connection, said: list[Said]
    ) -> tuple[list[tuple[Post, Said]], list[tuple[object, ...]], dict[str, int]]:
        """Give what was said its positions: the posts, their rows, and the rooms that are new."""
        now = int(time.time() * 1000)
        tops: dict[str, int] = {}
        rooms: dict[str, int] = {}
        posts: list[tuple[Post, Said]] = []
        rows: list[tuple[object, ...]] = []
        for each in said:
            name, author, text, client, key = (
                each.room, each.author, each.text, each.client, each.key
            )  # fmt: skip
            room = self.rooms.get(name) or rooms.get(name)
            if room is None:
                room = rooms[name] = _add_room(db, name)
            position = tops[name] = (tops.get(name) or self.tops.get(name, 0)) + 1
            posts.append((Post(name, position, author, now, text, key), each))
            total = sum_of(room, position, now, author, text, client, key)
            rows.append((room, position, now, author, text, client, key, total))
        return posts, rows, rooms

    def _once(
        self, db: sqlite3.Connection, said: list[Said], batch: Batch
    ) -> tuple[list[Said], list[tuple[Said, Said]]]:
        """Give what is said for the first time, and what repeats a first of this very turn.

        What is stored already gets its verdict in the batch.
        """
        fresh: list[Said] = []
        firsts: dict[tuple[bytes, str, str], Said] = {}
        again: list[tuple[Said, Said]] = []
        for each in said:
            if each.key is None:
                fresh.append(each)
                continue
            slot = each.client, each.key, each.room
            stored = _said_before(db, self.rooms.get(each.room), each)
            if stored is not None and not is_whole(*stored):
                batch.failed.append(each)  # whether it repeats that post cannot be known
            elif stored is not None:
                _judge(batch, each, stored[1], stored[4])
            elif slot in firsts:
                again.append((each, firsts[slot]))
            else:
                firsts[slot] = each
                fresh.append(each)
        return fresh, again


def _add_room(db: sqlite3.Connection, name: str) -> int:
    cursor = db.execute("INSERT INTO rooms (name) VALUES (?)", (name,))
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def _said_before(
    db: sqlite3.Connection, room: int | None, said: Said
) -> tuple[int, int, int, Any, Any, Any, Any, int] | None:
    """Give the post that has the key of what was said, with its room, if there is one."""
    db.text_factory = _lenient
    found: tuple[int, int, int, Any, Any, Any, Any, int] | None = db.execute(
        "SELECT * FROM posts WHERE client = ? AND key = ? AND room = ?",
        (said.client, said.key, room),
    ).fetchone()
    return found


def _lenient(text: bytes) -> str:
    """Give a damaged text too, for its sum to show it."""
    return text.decode("utf-8", "replace")


def _judge(batch: Batch, said: Said, position: int, text: str) -> None:
    if text == said.text:
        batch.repeated.append((said, position))
    else:
        batch.conflicts.append(said)
