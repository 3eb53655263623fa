"""The tables, their upgrade from older versions, and the checksum of a post.

SQLite does not notice a changed byte in a text, so each post has a CRC-32 of all its fields: it
takes 0.3 µs and detects every single bit flip. It is no defence against an attacker who can write
the file.
"""

import os
import secrets
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from typing import Any, Final
from urllib.parse import quote
from zlib import crc32

from geventchat.protocol.events import Post
from geventchat.protocol.names import UNLISTED
from geventchat.server.files import create
from geventchat.server.timeline.changes import Change, event_of
from geventchat.server.timeline.sqlite.disk import WAL_BYTES
from geventchat.server.timeline.sqlite.integrity import CHECK_SECONDS, check

APPLICATION_ID: Final = 0x67766368  # "gvch"
VERSION: Final = 6
LOCKED_SECONDS: float = 5.0
"""How long a commit waits for a lock of another program before it fails."""

LISTED: Final = f"topic <> '' AND substr(name, 1, 1) <> '{UNLISTED}'"
"""Which rooms are found by their topics; a query has to say it like this to use the index."""
_LISTED_INDEX: Final = f"CREATE INDEX listed ON rooms (name) WHERE {LISTED};"
_RECORDS_TABLE: Final = """
CREATE TABLE records (
    kind TEXT NOT NULL, id TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, id)
) WITHOUT ROWID;
"""
"""What is kept beside the history, such as accounts; the server has all of it in memory."""
COLUMNS: Final = (
    "room, position, time, author, text, client, key, account, hook,"
    " change, changed_top, changed_by, changed_account, redacted, sum"
)
"""The columns of a post in the order of `checksum` and `is_intact`."""
_CHANGED_BY: Final = COLUMNS.split(", ").index("changed_by")
SAID_ONCE: Final = (
    "CREATE UNIQUE INDEX said_once ON posts (key, client, room) WHERE key IS NOT NULL;"
)
"""The index by which a repetition is found.

The key is first, since those of our clients begin with the time: what a commit adds is then in one
page, and not in one for each client, which took a third of the time of storing.
"""
_CHANGED_INDEX: Final = "CREATE UNIQUE INDEX changed ON posts (room, change) WHERE change > 0;"
_TABLES: Final = f"""
CREATE TABLE store (
    epoch TEXT NOT NULL, posts INTEGER NOT NULL DEFAULT 0, room_bytes INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE rooms (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, topic TEXT NOT NULL DEFAULT '',
    top INTEGER NOT NULL DEFAULT 0, change INTEGER NOT NULL DEFAULT 0
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
    account TEXT,
    hook INTEGER NOT NULL DEFAULT 0,
    change INTEGER NOT NULL DEFAULT 0,
    changed_top INTEGER NOT NULL DEFAULT 0,
    changed_by TEXT,
    changed_account TEXT,
    redacted INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (room, position)
) WITHOUT ROWID;
{SAID_ONCE}
{_CHANGED_INDEX}
{_LISTED_INDEX}
{_RECORDS_TABLE}
"""
# `rooms.top` keeps the newest position of a room that was trimmed empty: positions are never
# reused. So does `rooms.change` with the number of the newest change. `store.posts` is the number
# of posts and changes ever stored, `store.room_bytes` the size of rooms and topics: totals that a
# start need not compute from all rooms.
#
# A post has the number of its latest change (0: none), the newest position of the room at that
# time, and who made it.

ROOM_BYTES: Final = 200
"""Size of a room in the file without its posts and topic; an upper estimate."""
TOPIC_FACTOR: Final = 2
"""Bytes in the file per byte of a topic: a page holds few long ones."""
UPDATE_TOTALS: Final = f"""
UPDATE store SET
    posts = (SELECT coalesce(sum(coalesce(
        (SELECT max(position) FROM posts WHERE room = rooms.id), top) + coalesce(
        (SELECT max(change) FROM posts WHERE room = rooms.id AND change > 0), change)), 0)
        FROM rooms),
    room_bytes = (SELECT coalesce(sum(
        {ROOM_BYTES} + {TOPIC_FACTOR} * length(CAST(topic AS BLOB))), 0) FROM rooms);
"""
"""Computes the totals in `store` from all rooms."""

_UPGRADE_FROM_1: Final = """
ALTER TABLE rooms ADD COLUMN top INTEGER NOT NULL DEFAULT 0;
ALTER TABLE posts ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
UPDATE posts SET sum = checksum(room, position, time, author, text, client, key);
"""
_UPGRADE_FROM_2: Final = f"""
ALTER TABLE store ADD COLUMN posts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE store ADD COLUMN room_bytes INTEGER NOT NULL DEFAULT 0;
{UPDATE_TOTALS}
"""
_UPGRADE_FROM_4: Final = f"""
ALTER TABLE rooms ADD COLUMN change INTEGER NOT NULL DEFAULT 0;
ALTER TABLE posts ADD COLUMN account TEXT;
ALTER TABLE posts ADD COLUMN hook INTEGER NOT NULL DEFAULT 0;
ALTER TABLE posts ADD COLUMN change INTEGER NOT NULL DEFAULT 0;
ALTER TABLE posts ADD COLUMN changed_top INTEGER NOT NULL DEFAULT 0;
ALTER TABLE posts ADD COLUMN changed_by TEXT;
ALTER TABLE posts ADD COLUMN changed_account TEXT;
ALTER TABLE posts ADD COLUMN redacted INTEGER NOT NULL DEFAULT 0;
{_CHANGED_INDEX}
{_RECORDS_TABLE}
"""
_UPGRADE_FROM_5: Final = f"DROP INDEX said_once; {SAID_ONCE}"


_UNCHANGED: Final = None, 0, 0, 0, None, None, 0


def checksum(
    room: int,
    position: int,
    time: int,
    author: str,
    text: str,
    client: bytes | None,
    key: str | None,
    account: str | None = None,
    hook: int = 0,
    change: int = 0,
    changed_top: int = 0,
    changed_by: str | None = None,
    changed_account: str | None = None,
    redacted: int = 0,
) -> int:
    """Return the checksum of a post as it is stored."""
    # No field can contain U+0000 except the hash of the client, whose length is fixed.
    head = f"{room}\0{position}\0{time}\0{author}\0{text}\0{key or ''}\0"
    total = crc32(client or b"", crc32(head.encode()))
    more = account, hook, change, changed_top, changed_by, changed_account, redacted
    if more != _UNCHANGED:  # posts of older versions have none of it
        changed = f"{change}\0{changed_top}\0{changed_by}\0{changed_account}\0{redacted}"
        total = crc32(f"{account}\0{hook}\0{changed}".encode(), total)
    return total


def is_intact(*row: Any) -> bool:
    """Return whether the COLUMNS of a post match its checksum. Damaged ones may have any type."""
    try:
        return checksum(*row[:-1]) == int(row[-1])
    except (TypeError, AttributeError, ValueError):
        return False


def post_of(name: str, row: Sequence[Any]) -> Post:
    """Return the post of a room in a row of COLUMNS."""
    _, position, time, author, text, _, key, account, hook, change, _, _, _, redacted, _ = row
    return Post(
        name, position, author, time, text, key, account, change, bool(redacted), bool(hook)
    )


def change_of(name: str, row: Sequence[Any]) -> Change:
    """Return the latest change of the post of a room in a row of COLUMNS."""
    return event_of(post_of(name, row), row[_CHANGED_BY] or "", row[_CHANGED_BY + 1])


def connect(path: str, *, readonly: bool = False) -> sqlite3.Connection:
    """Open a database in autocommit mode: BEGIN and COMMIT are explicit.

    A database that is created, with the files of SQLite beside it, is readable by its owner only.
    """
    if not readonly:
        with suppress(OSError):  # it exists, or SQLite reports why it cannot be created
            # Never an existing one: closing it would release the locks of SQLite.
            os.close(create(os.path.realpath(path)))
    return sqlite3.connect(
        f"file:{quote(path)}?mode=ro" if readonly else path,
        uri=readonly,
        timeout=LOCKED_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )


def prepare(db: sqlite3.Connection) -> bool:
    """Create the tables, or check and upgrade those of geventchat.

    Returns whether there was time to check the whole file. Raises sqlite3.Error, and has then
    changed nothing.
    """
    try:
        tables, version = identify(db)
        found: str | None = ""
        if version == VERSION and _columns(db) != _expected_columns():
            found = "unexpected table definitions"
        elif tables:
            found = check(db, CHECK_SECONDS)
    except sqlite3.DatabaseError as error:
        corrupt = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CORRUPT
        if not corrupt and "decode" not in str(error):
            raise
        found = str(error)
    except UnicodeDecodeError:  # an error message of SQLite that quotes damaged text
        found = "unreadable table definitions"
    if found:
        raise _damaged(found)
    if not tables:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # so that a trimmed file becomes smaller
    make_durable(db)
    db.execute("BEGIN IMMEDIATE")
    try:
        if not tables:
            _run(db, _TABLES)
            db.execute("INSERT INTO store (epoch) VALUES (?)", (new_epoch(),))
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        else:
            if version == 1:
                db.create_function("checksum", 7, checksum, deterministic=True)
                _run(db, _UPGRADE_FROM_1)
            if version < 5:
                _run(db, _UPGRADE_FROM_4)
            if version < 3:  # the totals count changes, too
                _run(db, _UPGRADE_FROM_2)
            if version < 4:
                _run(db, _LISTED_INDEX)
            if version < 6:
                _run(db, _UPGRADE_FROM_5)
        # Also fails if the file is not writable: BEGIN IMMEDIATE does not.
        db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    if tables and version < 5:  # free pages were not overwritten before
        db.executescript("PRAGMA incremental_vacuum")
    return found is not None


def identify(db: sqlite3.Connection) -> tuple[int, int]:
    """Return the number of tables and their version. Raises sqlite3.Error if they are not ours."""
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
    """Return the definitions of the tables: a damaged one may change how rows are read."""
    tables = "store", "rooms", "posts", "records"
    return [db.execute(f"PRAGMA table_info({table})").fetchall() for table in tables]


def _expected_columns() -> list[list[tuple[object, ...]]]:
    with closing(sqlite3.connect(":memory:")) as db:
        _run(db, _TABLES)
        return _columns(db)


def make_durable(db: sqlite3.Connection) -> None:
    """Configure a connection so that a commit is on disk when it returns."""
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA secure_delete = ON")  # what is deleted or changed is overwritten
    db.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")


def new_epoch() -> str:
    """Return a random epoch."""
    return secrets.token_urlsafe(16)


def room_bytes(topic: str) -> int:
    """Return the size of a room with this topic in the file, without its posts."""
    return ROOM_BYTES + TOPIC_FACTOR * len(topic.encode())


def _run(db: sqlite3.Connection, statements: str) -> None:
    for statement in statements.split(";"):
        db.execute(statement)
