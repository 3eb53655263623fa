"""Export and integrity check of a database, for `geventchat history`.

All functions block: they run in a process of their own.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

from geventchat.server.timeline.lines import RecordLine, RoomLine, StoredPost, written
from geventchat.server.timeline.sqlite.integrity import missing_posts
from geventchat.server.timeline.sqlite.schema import COLUMNS, is_intact

_CLIENT: Final = COLUMNS.split(", ").index("client")
_NEWEST: Final = (
    "SELECT (SELECT max(position) FROM posts WHERE room = ?),"
    " (SELECT max(change) FROM posts WHERE room = ? AND change > 0)"
)
_ROWS: Final = f"SELECT {COLUMNS} FROM posts WHERE room = ? AND position > ? ORDER BY position"


def rooms(db: sqlite3.Connection) -> list[tuple[int, RoomLine]]:
    """Return all rooms with their ids, by name."""
    with _texts_as(db, lambda text: text.decode(errors="replace")):
        found = db.execute(
            "SELECT id, name, topic, top, change FROM rooms ORDER BY name"
        ).fetchall()
    return [
        (number, RoomLine(name=name, topic=topic, top=top, change=change))
        for number, name, topic, top, change in found
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


def export_lines(db: sqlite3.Connection, give_away: Callable[[], str] = str) -> Iterator[bytes]:
    """Yield the lines of an export, without line ends; the epoch is what `give_away` returns."""
    found = ((_with_newest(db, number, room), posts(db, number)) for number, room in rooms(db))
    return written(found, _records(db), give_away)


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


def _with_newest(db: sqlite3.Connection, number: int, room: RoomLine) -> RoomLine:
    """Return a room with its newest position and change, which the table has only once trimmed."""
    with suppress(sqlite3.DatabaseError):  # where it is damaged
        top, change = db.execute(_NEWEST, (number, number)).fetchone()
        room.top, room.change = top or room.top, max(change or 0, room.change)
    return room


def _records(db: sqlite3.Connection) -> Iterator[RecordLine]:
    # What is left of redacted texts concerns the file alone; and rules that came from an engine are
    # not those in force, which a server keeps in a file of their own.
    query = "SELECT * FROM records WHERE kind NOT IN ('remains', 'rule') ORDER BY kind, id"
    for kind, identity, value in db.execute(query):
        yield RecordLine(kind=kind, id=identity, value=value)


def _read(db: sqlite3.Connection, room: int) -> Iterator[StoredPost | None]:
    """Yield the posts of a room; None for a damaged one, whose position may be wrong too.

    Where the file itself is damaged, each position is tried alone until one can be read again.
    """
    with _texts_as(db, bytes):  # a damaged text may not be UTF-8
        last, top = 0, None
        while True:
            try:
                for row in db.execute(_ROWS, (room, last)):
                    post = _stored_post(row)
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


def _stored_post(row: Sequence[Any]) -> StoredPost | None:
    """Return a post from its row, in which texts are bytes; None if it is damaged."""
    try:
        # The hash of the client is no text.
        row = [_decoded(value) if at != _CLIENT else value for at, value in enumerate(row)]
    except UnicodeDecodeError:
        return None
    if not is_intact(*row):
        return None
    (_, position, time, author, text, client, key, account, hook,
     change, changed_top, changed_by, changed_account, redacted, _) = row  # fmt: skip
    return StoredPost(
        position=position, time=time, author=author, text=text, client=(client or b"").hex(),
        key=key, account=account, hook=bool(hook), change=change, changed_top=changed_top,
        changed_by=changed_by, changed_account=changed_account, redacted=bool(redacted),
    )  # fmt: skip


def _decoded(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def _end(db: sqlite3.Connection, room: int, which: str) -> int:
    """Return the newest or the oldest position of a room, 1 if it cannot be read."""
    try:
        (position,) = db.execute(
            f"SELECT {which}(position) FROM posts WHERE room = ?", (room,)
        ).fetchone()
    except sqlite3.DatabaseError:
        return 1
    return position or 1
