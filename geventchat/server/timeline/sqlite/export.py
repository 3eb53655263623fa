"""A database as lines of JSON and back, and whether it is whole: what `geventchat history` does.

The first line names the format; then come rooms, each followed by its posts in order. All of it
blocks: these run in a process of their own, beside a server or in its stead.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from geventchat.protocol import names
from geventchat.protocol.errors import Refused
from geventchat.server.timeline.sqlite.integrity import missing
from geventchat.server.timeline.sqlite.schema import COUNT, is_whole, sum_of

FORMAT: Final = {"geventchat": "history", "version": 1}
_LOST: Final = "(This message was damaged on the server's disk and is lost.)"
_ROWS: Final = (
    "SELECT position, time, author, text, client, key, sum FROM posts WHERE room = ?"
    " AND position > ? ORDER BY position"
)


class Bad(Exception):
    """A line cannot be brought in: which, and why."""


class Found(msgspec.Struct, kw_only=True, frozen=True):
    """What is known of a post, or only its position if it is `damaged`."""

    position: int
    time: int = 0
    author: str = ""
    text: str = ""
    client: str = ""
    """The hash of its author's client in hexadecimal digits; nothing for plain ones."""
    key: str | None = None
    damaged: bool = False


class RoomLine(msgspec.Struct, kw_only=True, tag="room"):
    """Begins a room. `top`: its newest position, also of a room that was trimmed empty."""

    name: str
    topic: str = ""
    top: int = 0


class PostLine(msgspec.Struct, kw_only=True, tag="post"):
    """A post of the room that began last."""

    post: Found


def rooms(db: sqlite3.Connection) -> list[tuple[int, RoomLine]]:
    """Give the rooms by their numbers."""
    with _texts_as(db, lambda text: text.decode(errors="replace")):
        found = db.execute("SELECT id, name, topic, top FROM rooms ORDER BY name").fetchall()
    return [
        (number, RoomLine(name=name, topic=topic, top=top)) for number, name, topic, top in found
    ]


def posts(db: sqlite3.Connection, room: int) -> Iterator[Found]:
    """Yield the posts of a room, dense; those that are damaged or missing as such.

    Raises sqlite3.DatabaseError at the end if nobody can tell how far the room went.
    """
    last: int | None = None
    damaged = 0
    for post in _read(db, room):
        if post is None:
            damaged += 1
        elif last is None or post.position > last:
            first = post.position - damaged if last is None else last + 1
            for position in range(max(first, 1), post.position):
                yield Found(position=position, damaged=True)
            yield post
            last, damaged = post.position, 0
    for position in range((last or 0) + 1, (last or 0) + 1 + damaged):
        yield Found(position=position, damaged=True)


def lines(db: sqlite3.Connection) -> Iterator[bytes]:
    """Yield all there is, a line each without its end."""
    yield msgspec.json.encode(FORMAT)
    for number, room in rooms(db):
        yield msgspec.json.encode(room)
        for post in posts(db, number):
            yield msgspec.json.encode(PostLine(post=post))


def bring_in(db: sqlite3.Connection, given: Iterable[bytes]) -> int:
    """Store what `lines` gave in a database that is empty; give the number of posts.

    Its epoch is its own: newer posts may have been lost, and their positions will be used again.
    All or nothing. Raises Bad.
    """
    decode = msgspec.json.Decoder(RoomLine | PostLine).decode
    (taken,) = db.execute("SELECT count(*) FROM rooms").fetchone()
    if taken:
        raise Bad("the database is not empty")
    count = 0
    room, position = 0, 0
    numbered = enumerate(given, 1)
    try:
        _, first = next(numbered, (1, b""))
        if msgspec.json.decode(first) != FORMAT:
            raise Bad("line 1: this is no history that geventchat wrote")
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Bad("line 1: this is no history that geventchat wrote") from None
    db.execute("BEGIN IMMEDIATE")
    try:
        for number, line in numbered:
            try:
                item = decode(line)
                if isinstance(item, RoomLine):
                    room, position = _begin(db, item), 0
                else:
                    position = _add(db, room, position, item.post)
                    count += 1
            except (Refused, ValueError, RecursionError, sqlite3.IntegrityError) as error:
                raise Bad(f"line {number}: {error}") from None
        db.execute(COUNT)
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    return count


def damage(db: sqlite3.Connection) -> Iterator[str]:
    """Yield what is wrong, a line each; nothing if the database is whole."""
    try:
        for (found,) in db.execute("PRAGMA integrity_check").fetchall():
            if found != "ok":
                yield found
    except sqlite3.DatabaseError as error:
        yield str(error)
    if found := out_of_reach(db):
        yield found
    for number, room in rooms(db):
        for post in posts(db, number):
            if post.damaged:
                yield f"{room.name}: the post at position {post.position} is damaged or missing"


def out_of_reach(db: sqlite3.Connection) -> str:
    """Say whether there may be posts that nothing here can find."""
    try:
        return missing(db)
    except sqlite3.DatabaseError as error:
        return str(error)


def _read(db: sqlite3.Connection, room: int) -> Iterator[Found | None]:
    """Yield the posts of a room; None for one whose position may be what is damaged of it.

    Where the file itself is damaged, each position is tried alone until one can be read again.
    """
    with _texts_as(db, bytes):  # a byte that was changed may have made a text none
        last, top = 0, None
        while True:
            try:
                for row in db.execute(_ROWS, (room, last)):
                    post = _found(room, *row)
                    yield post
                    last = post.position if post is not None else last + 1
                return
            except sqlite3.DatabaseError:
                top = top or _end(db, room, "max")
                last = (last or _end(db, room, "min") - 1) + 1
                if last > top:
                    raise
                yield Found(position=last, damaged=True)


@contextmanager
def _texts_as(db: sqlite3.Connection, factory: Callable[[bytes], object]) -> Iterator[None]:
    db.text_factory = factory
    try:
        yield
    finally:
        db.text_factory = str


def _found(
    room: int, position: int, at: int, author: bytes, text: bytes, client: Any, key: Any, total: int
) -> Found | None:
    """Give a post as it was read, each text as its bytes, if it is as it was stored."""
    try:
        texts = author.decode(), text.decode(), key.decode() if key is not None else None
    except (UnicodeDecodeError, AttributeError):
        return None
    if not is_whole(room, position, at, texts[0], texts[1], client, texts[2], total):
        return None
    return Found(
        position=position, time=at, author=texts[0], text=texts[1],
        client=(client or b"").hex(), key=texts[2],
    )  # fmt: skip


def _end(db: sqlite3.Connection, room: int, which: str) -> int:
    """Give the newest or the oldest position of a room, 1 if it cannot be read."""
    try:
        (position,) = db.execute(
            f"SELECT {which}(position) FROM posts WHERE room = ?", (room,)
        ).fetchone()
    except sqlite3.DatabaseError:
        return 1
    return position or 1


def _begin(db: sqlite3.Connection, room: RoomLine) -> int:
    if names.room(room.name) != room.name:
        raise ValueError(f"{room.name!r} is not the name of a room")
    if "\0" in room.topic or not 0 <= room.top < 1 << 53:
        raise ValueError("no server has such a room")
    cursor = db.execute(
        "INSERT INTO rooms (name, topic, top) VALUES (?, ?, ?)", (room.name, room.topic, room.top)
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def _add(db: sqlite3.Connection, room: int, last: int, post: Found) -> int:
    if not room:
        raise ValueError("a post comes before its room")
    if not 1 <= post.position < 1 << 53 or (last and post.position != last + 1):
        raise ValueError(f"position {post.position} comes after {last}")
    if "\0" in post.author + post.text + (post.key or "") or not 0 <= post.time < 1 << 53:
        raise ValueError("no server has such a post")
    author, text, client = post.author, post.text, bytes.fromhex(post.client)
    if post.damaged:  # said aloud, lest the record be silently shortened
        author, text = "server", _LOST
    row = (room, post.position, post.time, author, text, client, post.key)
    db.execute("INSERT INTO posts VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*row, sum_of(*row)))
    return post.position
