"""Import of an export into an empty database, for `geventchat history`.

An export may have been through other systems: a byte order mark, CR LF and blank lines do not
matter, and what is not UTF-8 text is named. All functions block.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from geventchat.protocol import names
from geventchat.protocol.errors import Refused
from geventchat.protocol.text import BOM, is_utf16
from geventchat.server.timeline.sqlite.export import (
    FORMAT,
    EndLine,
    PostLine,
    RoomLine,
    StoredPost,
)
from geventchat.server.timeline.sqlite.schema import UPDATE_TOTALS, checksum

_LOST: Final = "(This message was damaged on the server's disk and is lost.)"
_UTF_16: Final = "is UTF-16; save it as UTF-8"
_NOT_TEXT: Final = {
    b"\x1f\x8b": "is compressed; decompress it first: gzip -d",
    b"\xfd7zXZ": "is compressed; decompress it first: xz -d",
    b"\x28\xb5\x2f\xfd": "is compressed; decompress it first: zstd -d",
    b"BZh": "is compressed; decompress it first: bzip2 -d",
    b"PK": "is a zip archive; unpack it first",
    b"SQLite format 3": "is a database, not an export; name it with --timeline",
}
"""What a file that is no text of lines begins with."""


class ImportFailed(Exception):
    """A line cannot be imported; the message says which, and why."""


class Incomplete(ImportFailed):
    """The export is not complete; the message says what is missing."""


class _Import:
    """The rooms and posts that were imported so far."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._room = 0
        self._position = 0
        self.end = EndLine(rooms=0, posts=0)
        """What the last line must be."""

    def add(self, item: RoomLine | PostLine) -> None:
        """Store a room, or a post of the last room. Raises ValueError, Refused, sqlite3.Error."""
        if isinstance(item, RoomLine):
            self._room, self._position = _begin(self._db, item), 0
            self.end.rooms += 1
        else:
            self._position = _add(self._db, self._room, self._position, item.post)
            self.end.posts += 1

    def check(self, end: EndLine) -> None:
        """Raise Incomplete unless everything that was exported is here."""
        if end != self.end:
            raise Incomplete(
                f"lines are missing: {end.rooms:,} rooms and {end.posts:,} posts were exported,"
                f" here are {self.end.rooms:,} and {self.end.posts:,}; export it again"
            )

    def cut_off(self, number: int) -> Incomplete:
        """Return the error for an export without an end after so many lines."""
        end = msgspec.json.encode(self.end).decode()
        return Incomplete(
            f"the export is cut off after line {number}: what followed is missing, and the last"
            " line, which has the counts; export it again, or accept that and make this the line"
            f" after it: {end}"
        )


def import_lines(db: sqlite3.Connection, lines: Iterable[bytes]) -> int:
    """Store the lines of an export in an empty database; return the number of posts.

    The epoch is new: newer posts may have been lost, and their positions will be reused.
    All or nothing. Raises ImportFailed, or Incomplete if the end is missing.
    """
    (taken,) = db.execute("SELECT count(*) FROM rooms").fetchone()
    if taken:
        raise ImportFailed("the database is not empty")
    numbered = _numbered(lines)
    try:
        _, first = next(numbered, (1, b""))
        if msgspec.json.decode(first) != FORMAT:
            raise ImportFailed("line 1: this is no history that geventchat wrote")
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ImportFailed("line 1: this is no history that geventchat wrote") from None
    db.execute("BEGIN IMMEDIATE")
    try:
        count = _import(db, numbered)
        db.execute(UPDATE_TOTALS)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return count


def _import(db: sqlite3.Connection, numbered: Iterator[tuple[int, bytes]]) -> int:
    decode = msgspec.json.Decoder(RoomLine | PostLine | EndLine).decode
    done = _Import(db)
    number = 1
    for number, line in numbered:
        whole = line.endswith(b"\n")
        try:
            item = decode(line)
            whole = True
            if not isinstance(item, EndLine):
                done.add(item)
                continue
        except (Refused, ValueError, RecursionError, sqlite3.IntegrityError) as error:
            if not whole and not isinstance(error, msgspec.ValidationError):
                raise done.cut_off(number - 1) from None
            raise ImportFailed(f"line {number}: {error}") from None
        done.check(item)
        for after, _ in numbered:
            raise ImportFailed(f"line {after}: comes after the end; import one export at a time")
        return done.end.posts
    raise done.cut_off(number)


def _numbered(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, with their numbers. Raises ImportFailed."""
    for number, line in enumerate(lines, 1):
        if number == 1:
            if is_utf16(line):
                raise ImportFailed(_UTF_16)
            for start, reason in _NOT_TEXT.items():
                if line.startswith(start):
                    raise ImportFailed(reason)
        text = line.removeprefix(BOM) if number == 1 else line
        if text.strip():
            yield number, text


def _begin(db: sqlite3.Connection, room: RoomLine) -> int:
    if names.room(room.name) != room.name:
        raise ValueError(f"{room.name!r} is not the name of a room")
    if "\0" in room.topic or not 0 <= room.top < 1 << 53:
        raise ValueError("not a valid room")
    cursor = db.execute(
        "INSERT INTO rooms (name, topic, top) VALUES (?, ?, ?)", (room.name, room.topic, room.top)
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def _add(db: sqlite3.Connection, room: int, last: int, post: StoredPost) -> int:
    if not room:
        raise ValueError("a post comes before its room")
    if not 1 <= post.position < 1 << 53 or (last and post.position != last + 1):
        raise ValueError(f"position {post.position} comes after {last}")
    if "\0" in post.author + post.text + (post.key or "") or not 0 <= post.time < 1 << 53:
        raise ValueError("not a valid post")
    author, text, client = post.author, post.text, bytes.fromhex(post.client)
    if post.damaged:  # visible in the room, so that no message is lost silently
        author, text = "server", _LOST
    row = (room, post.position, post.time, author, text, client, post.key)
    db.execute("INSERT INTO posts VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*row, checksum(*row)))
    return post.position
