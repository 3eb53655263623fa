"""Reads posts by the page, in a thread of its own and in one short transaction each."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

from geventchat.protocol.events import ListedRoom, Post
from geventchat.server.timeline import PAGE_BYTES, size_of
from geventchat.server.timeline.sqlite.retention import StoredRoom
from geventchat.server.timeline.sqlite.schema import LISTED, connect, is_intact

_READ: Final = (
    "SELECT position, time, author, text, client, key, sum FROM posts"
    " WHERE room = ? AND position > ? AND position <= ? ORDER BY position {} LIMIT ?"
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
                position, at, author, text, _, key, _ = row
                want = want or position
                if position != want or not is_intact(number, *row):
                    raise Damaged(name, want)
                post = Post(name, position, author, at, text, key)
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
