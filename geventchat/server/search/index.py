"""The index of the posts of a SQLite timeline: a file of its own beside the database.

It is derived from the database and nothing else, so it can be deleted at any time. One thread
writes it, in steps of some 20 ms: it reads what each room has beyond its cursor, posts and
changes, and forgets what the history no longer has. FTS5 keeps the words of a deleted post until it
merges; after a deletion all is merged, step by step, and what SQLite leaves in unused parts of
pages is removed, so that nothing is left of a redacted text. The file notes that this is due.
"""

import os
import sqlite3
from collections.abc import Callable, Container, Iterator
from contextlib import suppress
from hashlib import blake2b
from typing import Any, Final

from geventchat.protocol.events import Post
from geventchat.protocol.names import fold
from geventchat.server.search.query import words
from geventchat.server.timeline.sqlite import remains
from geventchat.server.timeline.sqlite.schema import COLUMNS, connect, is_intact, post_of

VERSION: Final = 2
STEP_POSTS: Final = 1_000
"""Posts and changes of one step: some 20 ms of its thread. With 200, 60 % more for each post."""
_ROOMS: Final = 100
"""Rooms of the walk that one step looks at."""
_MERGE_PAGES: Final = 64
ID_BITS: Final = 8
"""An id is the time in ms, and so many bits below it: newest first is by id alone."""
_TABLES: Final = (
    "CREATE TABLE about (version INTEGER NOT NULL, epoch TEXT NOT NULL, merging INTEGER NOT NULL)",
    "CREATE TABLE cursors (room INTEGER PRIMARY KEY, position INTEGER NOT NULL,"
    " change INTEGER NOT NULL)",
    "CREATE TABLE places (id INTEGER PRIMARY KEY, room INTEGER NOT NULL, position INTEGER NOT NULL,"
    " change INTEGER NOT NULL)",
    "CREATE UNIQUE INDEX placed ON places (room, position)",
    # Texts come as words already, so the simplest tokenizer is enough.
    "CREATE VIRTUAL TABLE words USING fts5 (room, author, text, tokenize = 'ascii')",
)
_POSTS: Final = (
    f"SELECT {COLUMNS} FROM posts WHERE room = ? AND position > ? ORDER BY position LIMIT ?"
)
_CHANGED: Final = (
    f"SELECT {COLUMNS} FROM posts INDEXED BY changed"
    " WHERE room = ? AND change > 0 AND change > ? AND position <= ? ORDER BY change LIMIT ?"
)
_POSITION, _CHANGE = map(COLUMNS.split(", ").index, ("position", "change"))


class Unreadable(OSError):
    """The database cannot be read, which says nothing about the index."""


class Index:
    """The file, and a connection to the database. Used by one thread."""

    def __init__(
        self, database: str, path: str, epoch: str, rest: Callable[[], object] = lambda: None
    ) -> None:
        """Open the file, or begin a new one if it is of another version or history.

        `rest` is called now and then in long steps; it may end one by an exception.
        """
        self._path = path
        self._rest = rest
        self._posts = connect(database, readonly=True)
        # A damaged text is one post that is not found, and must not end the step.
        self._posts.text_factory = lambda text: text.decode("utf-8", "replace")
        self._db = self._open(epoch)
        self._walked = 0
        """The id of the room that the walk has come to."""
        self.walking = True
        self._due: dict[str, None] = {}
        # A merge that the end of the server cut short is done again: nobody else would.
        (merging,) = self._db.execute("SELECT merging FROM about").fetchone()
        self._merging = self._begin_merge = bool(merging)
        self._last_id = 0
        self._file: int | None = None

    def step(self, rooms: list[str]) -> bool:
        """Index some of what is new in these rooms, and of the walk; return whether there is more.

        Raises sqlite3.Error, and Unreadable.
        """
        self._due.update(dict.fromkeys(rooms))
        self._db.execute("BEGIN")
        try:
            left = self._index()
            self._db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise
        if self._merging and left > 0:
            self._merge()
        return bool(self._due) or self.walking or left <= 0 or self._merging

    def walk(self) -> None:
        """Look at all rooms again, for what was trimmed or missed."""
        self._walked, self.walking = 0, True

    @property
    def pending(self) -> int:
        """How many rooms are known to have something new."""
        return len(self._due)

    def close(self) -> None:
        """Close both connections."""
        self._db.close()
        self._posts.close()
        if self._file is not None:
            os.close(self._file)

    def _open(self, epoch: str) -> sqlite3.Connection:
        db = self._connected()
        try:
            if db.execute("SELECT version, epoch FROM about").fetchone() == (VERSION, epoch):
                return db
        except sqlite3.Error:
            pass  # it is new, or damaged
        db.close()
        discard(self._path)
        db = self._connected()
        db.execute("BEGIN")
        for table in _TABLES:
            db.execute(table)
        db.execute("INSERT INTO about VALUES (?, ?, 0)", (VERSION, epoch))
        db.execute("COMMIT")
        return db

    def _connected(self) -> sqlite3.Connection:
        db = connect(self._path)
        with suppress(sqlite3.DatabaseError):  # a damaged one is replaced
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")  # what is lost is indexed again
            db.execute("PRAGMA secure_delete = ON")
        return db

    def _index(self) -> int:
        """Index rooms until the step is full; return how many posts it has left."""
        left = STEP_POSTS
        fresh: list[tuple[int, Post]] = []
        indexed: set[int] = set()  # once in a step: `fresh` would be added after a later change
        for name in list(self._due)[:_ROOMS]:
            for (number,) in read(self._posts, "SELECT id FROM rooms WHERE name = ?", (name,)):
                indexed.add(number)
                left -= self._index_room(number, left, fresh)
            if left <= 0:
                break
            del self._due[name]
        if self.walking and left > 0:
            left = self._walk(left, fresh, indexed)
        for number, post in sorted(fresh, key=lambda each: each[1].time):
            self._add(number, post)
        return left

    def _walk(self, left: int, fresh: list[tuple[int, Post]], indexed: Container[int]) -> int:
        """Index the next rooms of the walk; return how many posts are left for the step.

        Except those that are `indexed` in this step.
        """
        query = "SELECT id FROM rooms WHERE id > ? ORDER BY id LIMIT ?"
        rows = read(self._posts, query, (self._walked, _ROOMS))
        self.walking = bool(rows)
        for (number,) in rows:
            if number not in indexed:
                left -= self._index_room(number, left, fresh)
            if left <= 0:
                break
            self._walked = number
        return left

    def _index_room(self, number: int, limit: int, fresh: list[tuple[int, Post]]) -> int:
        """Index what a room has beyond its cursor; return how many posts that were.

        Those that are damaged are left out: they may have anything where a text or a time was.
        """
        position, change = self._db.execute(
            "SELECT position, change FROM cursors WHERE room = ?", (number,)
        ).fetchone() or (0, 0)
        changed = read(self._posts, _CHANGED, (number, change, position, limit))
        for row in changed:
            self._remove(number, row[_POSITION])
            change = row[_CHANGE]
            for post in _readable([row]):
                self._add(number, post)
        posts: list[tuple[Any, ...]] = []
        if len(changed) < limit:
            posts = read(self._posts, _POSTS, (number, position, limit - len(changed)))
            fresh += [(number, post) for post in _readable(posts)]
        if posts or changed:
            # A post that is read now carries its latest change; so do those below it.
            position = posts[-1][_POSITION] if posts else position
            self._db.execute(
                "INSERT OR REPLACE INTO cursors VALUES (?, ?, ?)", (number, position, change)
            )
        trimmed = self._trim(number, limit - len(changed) - len(posts))
        return len(changed) + len(posts) + trimmed

    def _trim(self, number: int, limit: int) -> int:
        """Forget posts that the history no longer has."""
        if limit <= 0:
            return 0
        query = "SELECT min(position) FROM posts WHERE room = ?"
        ((oldest,),) = read(self._posts, query, (number,))
        query = "SELECT position FROM places WHERE room = ? AND position < ? LIMIT ?"
        gone = self._db.execute(query, (number, oldest or 1 << 62, limit)).fetchall()
        for (position,) in gone:
            self._remove(number, position)
        return len(gone)

    def _add(self, number: int, post: Post) -> None:
        position, at, change = post.position, post.time, post.change
        identity = at << ID_BITS
        if self._last_id >> ID_BITS == at:
            identity = self._last_id + 1
        try:
            self._place(identity, number, position, change)
        except sqlite3.IntegrityError:
            if self._is_placed(number, position):
                return
            identity = self._free_id(at)
            self._place(identity, number, position, change)
        self._last_id = identity
        self._db.execute(
            "INSERT INTO words (rowid, room, author, text) VALUES (?, ?, ?, ?)",
            (identity, room_word(number), author_word(post.author), " ".join(words(post.text))),
        )

    def _place(self, identity: int, number: int, position: int, change: int) -> None:
        place = identity, number, position, change
        self._db.execute("INSERT INTO places VALUES (?, ?, ?, ?)", place)

    def _free_id(self, at: int) -> int:
        """Return an id of a millisecond, or of the first after it that has one left."""
        query = "SELECT max(id) FROM places WHERE id >= ? AND id < ?"
        while True:
            first, end = at << ID_BITS, (at + 1) << ID_BITS
            (highest,) = self._db.execute(query, (first, end)).fetchone()
            if highest is None or highest + 1 < end:
                return first if highest is None else int(highest) + 1
            at += 1

    def _is_placed(self, number: int, position: int) -> bool:
        query = "SELECT 1 FROM places WHERE room = ? AND position = ?"
        return self._db.execute(query, (number, position)).fetchone() is not None

    def _remove(self, number: int, position: int) -> None:
        query = "SELECT id FROM places WHERE room = ? AND position = ?"
        found = self._db.execute(query, (number, position)).fetchone()
        if found is not None:
            self._db.execute("DELETE FROM words WHERE rowid = ?", found)
            self._db.execute("DELETE FROM places WHERE id = ?", found)
            if not self._merging:
                self._db.execute("UPDATE about SET merging = 1")
            self._merging = self._begin_merge = True

    def _merge(self) -> None:
        """Take a step of merging all segments of the words into one, and then empty the WAL."""
        pages = -_MERGE_PAGES if self._begin_merge else _MERGE_PAGES
        self._begin_merge = False
        before = self._db.total_changes
        self._db.execute("INSERT INTO words (words, rank) VALUES ('merge', ?)", (pages,))
        if self._db.total_changes - before < 2:
            (busy, *_) = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if not busy:  # else a search reads the WAL, and it is emptied at the next step
                self._remove_remains()
                self._db.execute("UPDATE about SET merging = 0")
                self._merging = False

    def _remove_remains(self) -> None:
        """Remove what is left in unused parts of pages; only this thread writes the file."""
        if self._file is None:  # closing it would end SQLite's locks, so it stays open
            self._file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        pages = remains.find(self._file, self._rest)
        if pages:
            remains.remove(self._file, pages)
            self._db.execute("PRAGMA shrink_memory")  # pages in memory still have them


def _readable(rows: list[tuple[Any, ...]]) -> Iterator[Post]:
    """Yield the posts in rows of COLUMNS that have a text and are not damaged."""
    for row in rows:
        if is_intact(*row) and not (post := post_of("", row)).redacted:
            yield post


def read(posts: sqlite3.Connection, query: str, values: tuple[object, ...]) -> list[Any]:
    """Return what a query of the database finds. Raises Unreadable."""
    try:
        return posts.execute(query, values).fetchall()
    except sqlite3.Error as error:
        raise Unreadable(str(error)) from None


def is_damaged(error: Exception) -> bool:
    """Return whether an error says that the index is damaged, so that it has to be made again."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def discard(path: str) -> None:
    """Delete an index that no server uses. Raises OSError."""
    for end in ("", "-wal", "-shm", "-journal"):
        with suppress(FileNotFoundError):
            os.unlink(f"{path}{end}")


def room_word(number: int) -> str:
    """Return the word that stands for a room."""
    return f"r{number}"


def author_word(nick: str) -> str:
    """Return the word that stands for an author; a nick may hold anything."""
    return f"a{blake2b(fold(nick).encode(errors='replace'), digest_size=8).hexdigest()}"
