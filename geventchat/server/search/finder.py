"""Searches in an index: by a connection that reads it, beside the one that writes it."""

import sqlite3
import time
from contextlib import closing
from typing import Any, Final

from geventchat.server.search.index import ID_BITS, author_word, read, room_word
from geventchat.server.timeline.sqlite.schema import connect

_FOUND: Final = (
    "SELECT places.id, places.room, places.position, places.change FROM words"
    " JOIN places ON places.id = words.rowid WHERE words MATCH ? AND words.rowid < ?"
    " ORDER BY words.rowid DESC"
)


class Finder:
    """A connection that searches, used by a thread of its own."""

    def __init__(self, database: str, path: str) -> None:
        self._db = connect(path, readonly=True)
        self._posts = connect(database, readonly=True)

    def find(
        self,
        match: str,
        rooms: dict[str, int],
        author: str | None,
        before: int | None,
        limit: int,
        seconds: float,
    ) -> tuple[list[tuple[str, int, int, int]], bool]:
        """Return the name of the room, position, time and change of what was found.

        And whether that is all, which it is not if it took too long. `match`: of a `Query`. Raises
        sqlite3.Error, and Unreadable.
        """
        names = self._numbers(rooms)
        if not names:
            return [], True
        match = f"room : ({' OR '.join(map(room_word, names))}) AND text : ({match})"
        if author is not None:
            match += f" AND author : {author_word(author)}"
        end = time.monotonic() + seconds
        self._db.set_progress_handler(lambda: time.monotonic() > end, 50_000)
        found: list[tuple[str, int, int, int]] = []
        below = 1 << 62 if before is None else min(before << ID_BITS, 1 << 62)
        try:
            with closing(self._db.execute(_FOUND, (match, below))) as rows:
                for identity, number, position, change in rows:
                    at = identity >> ID_BITS
                    if len(found) >= limit and at != found[-1][2]:
                        break
                    if position >= rooms[names[number]]:
                        found.append((names[number], position, at, change))
        except sqlite3.OperationalError as error:
            if "interrupted" not in str(error):
                raise
            return found, False
        finally:
            self._db.set_progress_handler(None, 0)
        return found, True

    def close(self) -> None:
        """Close both connections."""
        self._db.close()
        self._posts.close()

    def _numbers(self, rooms: dict[str, int]) -> dict[int, str]:
        found: dict[int, Any] = {}
        for name in rooms:
            query = "SELECT id FROM rooms WHERE name = ?"
            for (number,) in read(self._posts, query, (name,)):
                found[number] = name
        return found
