"""Reads posts by the page, in a thread of its own and in one short transaction each."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, Final

from geventchat.protocol.events import ListedRoom, Post
from geventchat.server.timeline import PAGE_BYTES, Change, size_of
from geventchat.server.timeline.changes import MOST_MISSED
from geventchat.server.timeline.sqlite.retention import StoredRoom
from geventchat.server.timeline.sqlite.schema import (
    COLUMNS,
    LISTED,
    change_of,
    connect,
    is_intact,
    post_of,
)

_READ: Final = (
    f"SELECT {COLUMNS} FROM posts"
    " WHERE room = ? AND position > ? AND position <= ? ORDER BY position {} LIMIT ?"
)
_AT: Final = f"SELECT {COLUMNS} FROM posts WHERE room = ? AND position IN ({{}})"
_CHANGED: Final = (
    f"SELECT {COLUMNS} FROM posts INDEXED BY changed"
    " WHERE room = ? AND change > 0 AND change > ? AND position <= ? ORDER BY change"
)
_COUNT: Final = (
    "SELECT count(*) FROM (SELECT 1 FROM posts INDEXED BY changed"
    " WHERE room = ? AND change > 0 AND change > ? AND position <= ? LIMIT ?)"
)
_NEXT_CHANGE: Final = (
    "SELECT change, changed_top FROM posts INDEXED BY changed"
    " WHERE room = ? AND change > 0 AND change >= ? ORDER BY change LIMIT 1"
)
_WITH_TOPIC: Final = (
    "SELECT name, topic,"
    " coalesce((SELECT max(position) FROM posts WHERE room = rooms.id), top)"
    f" FROM rooms INDEXED BY listed WHERE {LISTED} AND name >= ?"
    " ORDER BY name LIMIT ?"
)


class Damaged(sqlite3.DatabaseError):
    """A post is damaged or missing."""

    def __init__(self, room: str, position: int) -> None:
        super().__init__(f"the post at position {position} of {room} is damaged or missing")
        self.place = room, position


class Reader:
    """A read-only connection."""

    def __init__(self, path: str) -> None:
        self._db = connect(path, readonly=True)

    def since(self, name: str, room: StoredRoom, after: int, upto: int) -> list[Post]:
        """Return the posts of a room after `after` up to `upto`, until they fill a page.

        Raises sqlite3.Error, or Damaged if one of them is.
        """
        upto = min(upto, room.top)
        return self._page(name, room, after, upto, upto - after, 1)

    def before(self, name: str, room: StoredRoom, end: int, limit: int) -> list[Post]:
        """Return the last posts of a room below `end`, the newest first, until they fill a page.

        Raises sqlite3.Error, or Damaged if one of them is.
        """
        return self._page(name, room, 0, min(end - 1, room.top), limit, -1)

    def at(self, name: str, room: StoredRoom, positions: Sequence[int]) -> list[Post]:
        """Return the posts at these positions that are still stored.

        Raises sqlite3.Error, or Damaged if one of them is.
        """
        wanted = [each for each in positions if room.oldest <= each <= room.top]
        query = _AT.format(", ".join("?" * len(wanted)))
        found: list[Post] = []
        with closing(self._db.execute(query, (room.id, *wanted))) as rows:
            for row in rows:
                if not is_intact(*row):
                    raise Damaged(name, row[1])
                found.append(post_of(name, row))
        return found

    def missed(self, room: StoredRoom, position: int, change: int | None) -> int | None:
        """Return the number after which a client has to be told all changes; None: too many.

        Raises sqlite3.Error.
        """
        if change is None:
            change = self._newest_before(room, position)
        told = (room.id, change, position, MOST_MISSED + 1)
        (count,) = self._db.execute(_COUNT, told).fetchone()
        return change if count <= MOST_MISSED else None

    def _newest_before(self, room: StoredRoom, position: int) -> int:
        """Return the number of the newest change before `position` was the newest post.

        Both grow together, so it is found by halves.
        """
        low, high = 0, room.change
        while low < high:
            middle = (low + high) // 2
            found = self._db.execute(_NEXT_CHANGE, (room.id, middle + 1)).fetchone()
            if found is not None and found[1] < position:
                low = found[0]
            else:
                high = middle
        return low

    def changes(
        self, name: str, room: StoredRoom, after: int, position: int
    ) -> tuple[list[Change], int]:
        """Return the changes after a number of posts up to a position, until they fill a page.

        And the number up to which there is no other. Raises sqlite3.Error, or Damaged if one of
        the posts is.
        """
        newest = room.change  # read first: what is committed meanwhile is for the next page
        page: list[Change] = []
        size = 0
        try:
            with closing(self._db.execute(_CHANGED, (room.id, after, position))) as rows:
                for row in rows:
                    if not is_intact(*row):
                        raise Damaged(name, row[1])
                    change = change_of(name, row)
                    size += size_of(change)
                    if size > PAGE_BYTES and page:
                        return page, page[-1].change
                    page.append(change)
        except sqlite3.OperationalError as error:
            if "decode" in str(error):  # a damaged text that is no UTF-8
                raise Damaged(name, position) from None
            raise
        return page, max(newest, page[-1].change if page else 0)

    def with_topic(self, prefix: str, after: str, limit: int) -> list[ListedRoom]:
        """Return the first listed rooms after a name that have a topic. Raises sqlite3.Error."""
        found: list[ListedRoom] = []
        low = max(prefix, f"{after}\0")  # of two bounds SQLite would use one to seek
        self._db.text_factory = lambda text: text.decode("utf-8", "replace")  # it may be damaged
        try:
            with closing(self._db.execute(_WITH_TOPIC, (low, limit))) as rows:
                for name, topic, position in rows:
                    if not name.startswith(prefix):
                        break
                    found.append(ListedRoom(name=name, topic=topic, members=0, position=position))
        finally:
            self._db.text_factory = str
        return found

    def forget(self) -> None:
        """Release the memory of pages that it has read."""
        self._db.execute("PRAGMA shrink_memory")

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def _page(
        self, name: str, room: StoredRoom, after: int, upto: int, limit: int, step: int
    ) -> list[Post]:
        number = room.id
        page: list[Post] = []
        size = 0
        want = upto if step < 0 else 0
        try:
            for row in self._rows(number, after, upto, limit, step):
                position = row[1]
                want = want or position
                if position != want or not is_intact(*row):
                    raise Damaged(name, want)
                post = post_of(name, row)
                size += size_of(post)
                if size > PAGE_BYTES and page:
                    limit = len(page)
                    break
                page.append(post)
                want += step
        except sqlite3.OperationalError as error:
            if "decode" in str(error):  # a damaged text that is no UTF-8
                raise Damaged(name, want or after + 1) from None
            raise
        # `oldest` is read last: it moves before posts are deleted, and those are not missing.
        low = max(after + 1, room.oldest)
        if step > 0 and low <= upto and (not page or page[0].position > low):
            raise Damaged(name, low)
        if len(page) < limit and low <= want <= upto:
            raise Damaged(name, want)
        return page

    def _rows(
        self, room: int, after: int, upto: int, limit: int, step: int
    ) -> Iterator[tuple[Any, ...]]:
        order = "ASC" if step > 0 else "DESC"
        with closing(self._db.execute(_READ.format(order), (room, after, upto, limit))) as rows:
            yield from rows
