"""Export and integrity check of a database, for `geventchat history`.

The first line of an export names the format; then come rooms, each followed by its posts in order;
the last line has the counts, so that an export that was cut off is not taken for a whole one. All
functions block: they run in a process of their own.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from geventchat.server.timeline.sqlite.integrity import missing_posts
from geventchat.server.timeline.sqlite.schema import is_intact

FORMAT: Final = {"geventchat": "history", "version": 1}
_ROWS: Final = (
    "SELECT position, time, author, text, client, key, sum FROM posts WHERE room = ?"
    " AND position > ? ORDER BY position"
)


class StoredPost(msgspec.Struct, kw_only=True, frozen=True):
    """A post as it is stored; only its position is known if it is `damaged`."""

    position: int
    time: int = 0
    author: str = ""
    text: str = ""
    client: str = ""
    """Hash of the author's client id in hexadecimal digits; empty for plain clients."""
    key: str | None = None
    damaged: bool = False


class RoomLine(msgspec.Struct, kw_only=True, tag="room"):
    """Starts a room. `top` is its newest position, also if that post was trimmed."""

    name: str
    topic: str = ""
    top: int = 0


class PostLine(msgspec.Struct, kw_only=True, tag="post"):
    """A post of the room of the last `RoomLine`."""

    post: StoredPost


class EndLine(msgspec.Struct, kw_only=True, tag="end"):
    """Ends a complete export with the number of its rooms and posts."""

    rooms: int
    posts: int


def rooms(db: sqlite3.Connection) -> list[tuple[int, RoomLine]]:
    """Return all rooms with their ids, by name."""
    with _texts_as(db, lambda text: text.decode(errors="replace")):
        found = db.execute("SELECT id, name, topic, top FROM rooms ORDER BY name").fetchall()
    return [
        (number, RoomLine(name=name, topic=topic, top=top)) for number, name, topic, top in found
    ]


def posts(db: sqlite3.Connection, room: int) -> Iterator[StoredPost]:
    """Yield the posts of a room without a hole; damaged and missing ones as `damaged`.

    Raises sqlite3.DatabaseError at the end if the newest position cannot be determined.
    """
    last: int | None = None
    damaged = 0
    for post in _read(db, room):
        if post is None:
            damaged += 1
        elif last is None or post.position > last:
            first = post.position - damaged if last is None else last + 1
            for position in range(max(first, 1), post.position):
                yield StoredPost(position=position, damaged=True)
            yield post
            last, damaged = post.position, 0
    for position in range((last or 0) + 1, (last or 0) + 1 + damaged):
        yield StoredPost(position=position, damaged=True)


def export_lines(db: sqlite3.Connection) -> Iterator[bytes]:
    """Yield the lines of an export, without line ends."""
    yield msgspec.json.encode(FORMAT)
    found, count = rooms(db), 0
    for number, room in found:
        yield msgspec.json.encode(room)
        for post in posts(db, number):
            yield msgspec.json.encode(PostLine(post=post))
            count += 1
    yield msgspec.json.encode(EndLine(rooms=len(found), posts=count))


def damage(db: sqlite3.Connection) -> Iterator[str]:
    """Yield a line for each problem in the database."""
    try:
        for (found,) in db.execute("PRAGMA integrity_check").fetchall():
            if found != "ok":
                yield found
    except sqlite3.DatabaseError as error:
        yield str(error)
    if found := unreachable_posts(db):
        yield found
    for number, room in rooms(db):
        for post in posts(db, number):
            if post.damaged:
                yield f"{room.name}: the post at position {post.position} is damaged or missing"


def unreachable_posts(db: sqlite3.Connection) -> str:
    """Describe posts that the other functions cannot find; empty if there are none."""
    try:
        return missing_posts(db)
    except sqlite3.DatabaseError as error:
        return str(error)


def _read(db: sqlite3.Connection, room: int) -> Iterator[StoredPost | None]:
    """Yield the posts of a room; None for a damaged one, whose position may be wrong too.

    Where the file itself is damaged, each position is tried alone until one can be read again.
    """
    with _texts_as(db, bytes):  # a damaged text may not be UTF-8
        last, top = 0, None
        while True:
            try:
                for row in db.execute(_ROWS, (room, last)):
                    post = _stored_post(room, *row)
                    yield post
                    last = post.position if post is not None else last + 1
                return
            except sqlite3.DatabaseError:
                top = top or _end(db, room, "max")
                last = (last or _end(db, room, "min") - 1) + 1
                if last > top:
                    raise
                yield StoredPost(position=last, damaged=True)


@contextmanager
def _texts_as(db: sqlite3.Connection, factory: Callable[[bytes], object]) -> Iterator[None]:
    db.text_factory = factory
    try:
        yield
    finally:
        db.text_factory = str


def _stored_post(
    room: int, position: int, at: int, author: bytes, text: bytes, client: Any, key: Any, total: int
) -> StoredPost | None:
    """Return a post from its row, in which texts are bytes; None if it is damaged."""
    try:
        texts = author.decode(), text.decode(), key.decode() if key is not None else None
    except (UnicodeDecodeError, AttributeError):
        return None
    if not is_intact(room, position, at, texts[0], texts[1], client, texts[2], total):
        return None
    return StoredPost(
        position=position, time=at, author=texts[0], text=texts[1],
        client=(client or b"").hex(), key=texts[2],
    )  # fmt: skip


def _end(db: sqlite3.Connection, room: int, which: str) -> int:
    """Return the newest or the oldest position of a room, 1 if it cannot be read."""
    try:
        (position,) = db.execute(
            f"SELECT {which}(position) FROM posts WHERE room = ?", (room,)
        ).fetchone()
    except sqlite3.DatabaseError:
        return 1
    return position or 1
