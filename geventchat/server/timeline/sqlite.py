"""The timeline in a SQLite file: every post is on disk before anyone sees it.

Two native threads do all the work, so the disk never stops the hub: one holds the only connection
that writes (SQLite before 3.51.3 can corrupt a file that two connections write and checkpoint), one
reads pages for those who catch up, so that a storm of them does not delay commits. While one batch
is being delivered the next is already being stored.
"""

import fcntl
import os
import secrets
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from typing import IO, Final, TypeVar
from urllib.parse import quote

from gevent.threadpool import ThreadPool

from geventchat.config import BadOption
from geventchat.protocol.errors import Refused
from geventchat.protocol.events import Post
from geventchat.server.timeline import PAGE_BYTES, Batch, Said, Timeline, _log, size_of

_APPLICATION_ID: Final = 0x67766368  # "gvch"
_SCHEMA_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE store (epoch TEXT NOT NULL);
CREATE TABLE rooms (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, topic TEXT NOT NULL DEFAULT ''
);
CREATE TABLE posts (
    room INTEGER NOT NULL REFERENCES rooms,
    position INTEGER NOT NULL,
    time INTEGER NOT NULL,
    author TEXT NOT NULL,
    text TEXT NOT NULL,
    client BLOB,
    key TEXT,
    PRIMARY KEY (room, position)
) WITHOUT ROWID;
CREATE UNIQUE INDEX said_once ON posts (client, key, room) WHERE key IS NOT NULL;
"""
_INSERT: Final = (
    "INSERT INTO posts VALUES (?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (client, key, room) WHERE key IS NOT NULL DO NOTHING"
)
_LOCKED_SECONDS: Final = 5.0
"""How long a commit waits for another program that has the file locked, before it fails."""

_T = TypeVar("_T")


class SqliteTimeline(Timeline):
    """Keeps everything in the file at `path`, which one server at a time may use.

    Raises BadOption if the file cannot be used; it is then untouched.
    """

    def __init__(self, deliver: Callable[[Batch], None], path: str) -> None:
        super().__init__(deliver)
        self._path = path
        self._lock = _lock(path)
        self._rooms: dict[str, int] = {}
        self._tops: dict[str, int] = {}
        self._oldest: dict[str, int] = {}
        self._topics: dict[str, str] = {}
        try:
            self._writing = _connect(path)
            try:
                self._open()
                self._reading = _connect(f"file:{quote(path)}?mode=ro", uri=True)
            except BaseException:
                self._writing.close()
                raise
        except sqlite3.Error as error:
            os.unlink(self._lock.name)
            self._lock.close()
            raise _unusable(path, str(error)) from None
        self._writer = ThreadPool(1)
        self._reader = ThreadPool(1)

    def position(self, room: str) -> int:
        return self._tops.get(room, 0)

    def oldest(self, room: str) -> int:
        return self._oldest.get(room, 1)

    def topic(self, room: str) -> str:
        return self._topics.get(room, "")

    def since(self, room: str, after: int, upto: int) -> list[Post]:
        return _in(self._reader, self._read_page, room, after, upto, "ASC", upto - after)

    def before(self, room: str, end: int, limit: int) -> list[Post]:
        return _in(self._reader, self._read_page, room, 0, end - 1, "DESC", limit)[::-1]

    def set_topic(self, room: str, topic: str) -> None:
        _in(self._writer, self._store_topic, room, topic)
        self._topics[room] = topic

    def close(self) -> None:
        super().close()
        for pool in (self._writer, self._reader):
            pool.join()
            pool.kill()
        self._reading.close()
        self._writing.close()
        self._lock.close()

    def _take_turns(self) -> None:
        stored: Batch | None = None
        while True:
            # Nothing to deliver: wait. Else only look whether there is more to store meanwhile.
            said = self._taken() if stored is None or self._said else []
            storing = self._writer.spawn(_outcome, self._store, said) if said else None
            if stored is not None:
                self._deliver(stored)
            stored = self._verdicts(storing.get(), said) if storing is not None else None
            if stored is None and self._closing and not self._said:
                return

    def _verdicts(self, outcome: Batch | Exception | None, said: list[Said]) -> Batch:
        if isinstance(outcome, Batch):
            return outcome
        if isinstance(outcome, sqlite3.Error):
            _log.error("storing %d messages in %s failed: %s", len(said), self._path, outcome)
        else:
            _log.error("storing %d messages failed", len(said), exc_info=outcome)
        return Batch(failed=said)

    # What follows runs in the native threads, or before they exist.

    def _open(self) -> None:
        """Check that the file is ours, or make it so, and learn what it holds."""
        db = self._writing
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if tables and application != _APPLICATION_ID:
            raise sqlite3.DatabaseError("this is another program's database")
        if version > _SCHEMA_VERSION:
            raise sqlite3.DatabaseError("a newer geventchat wrote this database")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("BEGIN IMMEDIATE")
        if not tables:
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            db.execute("INSERT INTO store VALUES (?)", (secrets.token_urlsafe(16),))
            db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        # Also shows that the file can be written: on one that cannot, BEGIN IMMEDIATE only reads.
        db.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        db.execute("COMMIT")
        (self.epoch,) = db.execute("SELECT epoch FROM store").fetchone()
        for room, name, topic in db.execute("SELECT id, name, topic FROM rooms").fetchall():
            self._rooms[name] = room
            if topic:
                self._topics[name] = topic
            # One seek each; both in one SELECT would scan the room.
            (top,) = db.execute(
                "SELECT max(position) FROM posts WHERE room = ?", (room,)
            ).fetchone()
            (low,) = db.execute(
                "SELECT min(position) FROM posts WHERE room = ?", (room,)
            ).fetchone()
            if top is not None:
                self._tops[name], self._oldest[name] = top, low

    def _store(self, said: list[Said]) -> Batch:
        """Store what was said in one transaction, or nothing of it. Raises sqlite3.Error."""
        try:
            return self._try_to_store(said, Batch())
        except BaseException:
            if self._writing.in_transaction:
                self._writing.execute("ROLLBACK")
            raise

    def _try_to_store(self, said: list[Said], batch: Batch) -> Batch:
        db = self._writing
        db.execute("BEGIN IMMEDIATE")
        before = db.total_changes
        batch.posts, rows, rooms = self._number(said)
        db.executemany(_INSERT, rows)
        if db.total_changes - before != len(rows) + len(rooms):
            # Something was said before: rare, so only now is each looked up.
            db.execute("ROLLBACK")
            db.execute("BEGIN IMMEDIATE")
            fresh, again = self._once(said, batch)
            batch.posts, rows, rooms = self._number(fresh)
            db.executemany(_INSERT, rows)
            positions = {id(each): post.position for post, each in batch.posts}
            for each, first in again:
                _judge(batch, each, positions[id(first)], first.text)
        db.execute("COMMIT")
        self._rooms |= rooms
        for post, _ in batch.posts:
            self._tops[post.room] = post.position
        return batch

    def _number(
        self, said: list[Said]
    ) -> tuple[list[tuple[Post, Said]], list[tuple[object, ...]], dict[str, int]]:
        """Give what was said its positions: the posts, their rows, and the rooms that are new."""
        now = int(time.time() * 1000)
        tops: dict[str, int] = {}
        rooms: dict[str, int] = {}
        posts: list[tuple[Post, Said]] = []
        rows: list[tuple[object, ...]] = []
        for each in said:
            name = each.room
            room = self._rooms.get(name) or rooms.get(name)
            if room is None:
                room = rooms[name] = self._add_room(name)
            position = tops[name] = (tops.get(name) or self._tops.get(name, 0)) + 1
            posts.append((Post(name, position, each.author, now, each.text, each.key), each))
            rows.append((room, position, now, each.author, each.text, each.client, each.key))
        return posts, rows, rooms

    def _once(self, said: list[Said], batch: Batch) -> tuple[list[Said], list[tuple[Said, Said]]]:
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
            stored = self._writing.execute(
                "SELECT position, text FROM posts JOIN rooms ON rooms.id = posts.room"
                " WHERE client = ? AND key = ? AND rooms.name = ?",
                slot,
            ).fetchone()
            if stored is not None:
                _judge(batch, each, *stored)
            elif slot in firsts:
                again.append((each, firsts[slot]))
            else:
                firsts[slot] = each
                fresh.append(each)
        return fresh, again

    def _add_room(self, name: str) -> int:
        cursor = self._writing.execute("INSERT INTO rooms (name) VALUES (?)", (name,))
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def _store_topic(self, name: str, topic: str) -> None:
        (self._rooms[name],) = self._writing.execute(
            "INSERT INTO rooms (name, topic) VALUES (?1, ?2)"
            " ON CONFLICT (name) DO UPDATE SET topic = ?2 RETURNING id",
            (name, topic),
        ).fetchone()

    def _read_page(self, room: str, after: int, upto: int, order: str, limit: int) -> list[Post]:
        """Read posts beyond `after` up to `upto`, until they fill a page: one short transaction."""
        page: list[Post] = []
        size = 0
        rows = self._reading.execute(
            "SELECT position, author, time, text, key FROM posts"
            " WHERE room = ? AND position > ? AND position <= ?"
            f" ORDER BY position {order} LIMIT ?",
            (self._rooms.get(room), after, upto, limit),
        )
        with closing(rows):
            for position, author, at, text, key in rows:
                post = Post(room, position, author, at, text, key)
                size += size_of(post)
                if size > PAGE_BYTES and page:
                    break
                page.append(post)
        return page


def _in(pool: ThreadPool, function: Callable[..., _T], *arguments: object) -> _T:
    """Run a function in a native thread and wait for it. Raises Refused `storage`."""
    outcome = pool.apply(_outcome, (function, *arguments))
    if isinstance(outcome, sqlite3.Error):
        _log.error("the record could not be read or written: %s", outcome)
        raise Refused("storage", "The server could not read or write its record.")
    if isinstance(outcome, Exception):
        raise outcome
    result: _T = outcome
    return result


def _outcome(function: Callable[..., _T], *arguments: object) -> _T | Exception:
    """Give what a function gives, or what it raises.

    In a native thread nothing is logged: logging's locks are the hub's. The pool would print it.
    """
    try:
        return function(*arguments)
    except Exception as error:
        return error


def _judge(batch: Batch, said: Said, position: int, text: str) -> None:
    if text == said.text:
        batch.repeated.append((said, position))
    else:
        batch.conflicts.append(said)


def _connect(path: str, *, uri: bool = False) -> sqlite3.Connection:
    # In autocommit: transactions begin and end where they are written.
    return sqlite3.connect(
        path, uri=uri, timeout=_LOCKED_SECONDS, isolation_level=None, check_same_thread=False
    )


def _lock(path: str) -> IO[str]:
    """Take the file for this process alone, whatever it is called, while the lock is open."""
    try:
        lock = open(os.path.realpath(path) + ".lock", "a+", encoding="ascii")  # noqa: SIM115
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Not one that a server which was refused has just taken away.
        ours = os.path.samestat(os.fstat(lock.fileno()), os.stat(lock.name))
    except OSError:
        ours = False
    if not ours:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        lock.close()
        raise _unusable(path, f"in use by another server, process {holder}")
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def _unusable(path: str, reason: str) -> BadOption:
    return BadOption("--timeline", f"sqlite:{path}", reason)
