"""The tables, how an older server's become these, and the sum by which a damaged post is known.

SQLite does not notice a changed byte in a text, so each post carries a CRC-32 of all that it is:
0.3 µs, and every single flipped bit is seen. It is no defence against who can write the file.
"""

import os
import secrets
import sqlite3
from contextlib import closing, suppress
from typing import Any, Final
from urllib.parse import quote
from zlib import crc32

from geventchat.server.timeline.sqlite.integrity import LOOK_SECONDS, look

APPLICATION_ID: Final = 0x67766368  # "gvch"
VERSION: Final = 3
LOCKED_SECONDS: float = 5.0
"""How long a commit waits for another program that has the file locked, before it fails."""

_TABLES: Final = """
CREATE TABLE store (
    epoch TEXT NOT NULL, posts INTEGER NOT NULL DEFAULT 0, room_bytes INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE rooms (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, topic TEXT NOT NULL DEFAULT '',
    top INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE posts (
    room INTEGER NOT NULL REFERENCES rooms,
    position INTEGER NOT NULL,
    time INTEGER NOT NULL,
    author TEXT NOT NULL,
    text TEXT NOT NULL,
    client BLOB,
    key TEXT,
    sum INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (room, position)
) WITHOUT ROWID;
CREATE UNIQUE INDEX said_once ON posts (client, key, room) WHERE key IS NOT NULL;
"""
# `rooms.top` is what a room that was trimmed empty remembers: positions are never used twice.
# `store.posts` is how many were ever stored, `store.room_bytes` what rooms and topics take: sums
# that a start need not make of all rooms there ever were.

ROOM_BYTES: Final = 200
"""What a room takes besides its posts and its topic, rather too much than too little."""
TOPIC_FACTOR: Final = 2
"""What a byte of a topic takes: a page holds few long ones."""
COUNT: Final = f"""
UPDATE store SET
    posts = (SELECT coalesce(sum(coalesce(
        (SELECT max(position) FROM posts WHERE room = rooms.id), top)), 0) FROM rooms),
    room_bytes = (SELECT coalesce(sum(
        {ROOM_BYTES} + {TOPIC_FACTOR} * length(CAST(topic AS BLOB))), 0) FROM rooms);
"""
"""Makes the sums of `store` anew, from all rooms."""

_FROM_1: Final = """
ALTER TABLE rooms ADD COLUMN top INTEGER NOT NULL DEFAULT 0;
ALTER TABLE posts ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
UPDATE posts SET sum = sum_of(room, position, time, author, text, client, key);
"""
_FROM_2: Final = f"""
ALTER TABLE store ADD COLUMN posts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE store ADD COLUMN room_bytes INTEGER NOT NULL DEFAULT 0;
{COUNT}
"""


def sum_of(
    room: int,
    position: int,
    time: int,
    author: str,
    text: str,
    client: bytes | None,
    key: str | None,
) -> int:
    """Give the sum of a post as it is stored."""
    # No part can hold U+0000, but for the hash of the client, which has a length of its own.
    head = f"{room}\0{position}\0{time}\0{author}\0{text}\0{key or ''}\0"
    return crc32(client or b"", crc32(head.encode()))


def is_whole(
    room: int, position: int, time: int, author: Any, text: Any, client: Any, key: Any, total: int
) -> bool:
    """Say whether a post is as it was stored; none of it need be of its type."""
    try:
        return sum_of(room, position, time, author, text, client, key) == total
    except (TypeError, AttributeError):
        return False


def connect(path: str, *, readonly: bool = False) -> sqlite3.Connection:
    """Open a database in autocommit: transactions begin and end where they are written.

    Only its owner can read one that is made, and what SQLite puts beside it.
    """
    if not readonly:
        anew = os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with suppress(OSError):  # it is there, or SQLite will say why it cannot be
            # Never one that is there: to close it would take SQLite's locks away.
            os.close(os.open(os.path.realpath(path), anew, 0o600))
    return sqlite3.connect(
        f"file:{quote(path)}?mode=ro" if readonly else path,
        uri=readonly,
        timeout=LOCKED_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )


def prepare(db: sqlite3.Connection) -> bool:
    """Check that a database is ours, or make it so, and bring its tables up to date.

    Gives whether there was time to look at all of it. Raises sqlite3.Error, and has then changed
    nothing.
    """
    try:
        tables, version = looked_at(db)
        found: str | None = ""
        if version == VERSION and _columns(db) != _columns_made():
            found = "its tables are not as they were made"
        elif tables:
            found = look(db, LOOK_SECONDS)
    except sqlite3.DatabaseError as error:
        corrupt = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CORRUPT
        if not corrupt and "decode" not in str(error):
            raise
        found = str(error)
    except UnicodeDecodeError:  # a message of SQLite's that quotes what it cannot read
        found = "its tables cannot be read"
    if found:
        raise _damaged(found)
    if not tables:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # so that a trimmed file becomes smaller
    durable(db)
    db.execute("BEGIN IMMEDIATE")
    try:
        if not tables:
            _run(db, _TABLES)
            db.execute("INSERT INTO store (epoch) VALUES (?)", (new_epoch(),))
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        else:
            if version == 1:
                db.create_function("sum_of", 7, sum_of, deterministic=True)
                _run(db, _FROM_1)
            if version < VERSION:
                _run(db, _FROM_2)
        # Also shows that the file can be written: on one that cannot, BEGIN IMMEDIATE only reads.
        db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return found is not None


def looked_at(db: sqlite3.Connection) -> tuple[int, int]:
    """Give how many tables there are, and their version, if they are ours."""
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if tables and application != APPLICATION_ID:
        raise sqlite3.DatabaseError("this is another program's database")
    if version > VERSION:
        raise sqlite3.DatabaseError("a newer geventchat wrote this database")
    return tables, version


def _damaged(found: str) -> sqlite3.DatabaseError:
    text = f"it is damaged ({found}); put a backup in its place, or see docs/operations.md"
    return sqlite3.DatabaseError(text)


def _columns(db: sqlite3.Connection) -> list[list[tuple[object, ...]]]:
    """Give what the tables are made of; a damaged word of it may make them others."""
    tables = "store", "rooms", "posts"
    return [db.execute(f"PRAGMA table_info({table})").fetchall() for table in tables]


def _columns_made() -> list[list[tuple[object, ...]]]:
    with closing(sqlite3.connect(":memory:")) as db:
        _run(db, _TABLES)
        return _columns(db)


def durable(db: sqlite3.Connection) -> None:
    """Let a commit be on the disk when it returns."""
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")


def new_epoch() -> str:
    """Draw a name for a life of the record."""
    return secrets.token_urlsafe(16)


def room_bytes(topic: str) -> int:
    """Give what a room with this topic takes in the file besides its posts."""
    return ROOM_BYTES + TOPIC_FACTOR * len(topic.encode())


def _run(db: sqlite3.Connection, statements: str) -> None:
    for statement in statements.split(";"):
        db.execute(statement)
