"""Reading the record, page by page, in a thread of its own and one short transaction each."""

import sqlite3
from contextlib import closing
from typing import Final

from geventchat.protocol.events import Post
from geventchat.server.timeline import PAGE_BYTES, size_of
from geventchat.server.timeline.sqlite.schema import connect, sum_of

_READ: Final = (
    "SELECT position, time, author, text, client, key, sum FROM posts"
    " WHERE room = ? AND position > ? AND position <= ? ORDER BY position {} LIMIT ?"
)


class Damaged(sqlite3.DatabaseError):
    """A post is not as it was stored."""

    def __init__(self, room: str, position: int) -> None:
        super().__init__(f"the post at position {position} of {room} is damaged")
        self.place = room, position


class Pages:
    """A connection that can only read."""

    def __init__(self, path: str) -> None:
        self._db = connect(path, readonly=True)

    def read(
        self, name: str, room: int | None, after: int, upto: int, limit: int, *, newest: bool
    ) -> list[Post]:
        """Give the posts of a room beyond `after` up to `upto`, until they fill a page.

        The oldest first, or the `newest` first. `room` is its number. Raises sqlite3.Error, Damaged
        if one of them is.
        """
        page: list[Post] = []
        size = 0
        rows = self._db.execute(
            _READ.format("DESC" if newest else "ASC"), (room, after, upto, limit)
        )
        with closing(rows):
            for position, at, author, text, client, key, total in rows:
                try:
                    whole = sum_of(room or 0, position, at, author, text, client, key) == total
                except (TypeError, AttributeError):  # not even of its type
                    whole = False
                if not whole:
                    raise Damaged(name, position)
                post = Post(name, position, author, at, text, key)
                size += size_of(post)
                if size > PAGE_BYTES and page:
                    break
                page.append(post)
        return page

    def close(self) -> None:
        """Close the connection."""
        self._db.close()
