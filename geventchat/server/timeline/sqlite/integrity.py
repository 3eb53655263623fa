"""Integrity check of a whole file, except the texts of posts.

SQLite checks only the structure. A bit flip in the name of a room or in a position would make
another room, or end a history sooner; so names are compared with their index, and the posts of each
room are counted.
"""

import sqlite3
from typing import Final

import gevent
from gevent.event import AsyncResult
from gevent.threadpool import ThreadPool

_INCOMPLETE_ROOM: Final = """
SELECT name FROM (
    SELECT room, min(position) AS low, max(position) AS high, count(*) AS number
    FROM posts GROUP BY room
) LEFT JOIN rooms ON rooms.id = room
GROUP BY +room HAVING count(*) > 1 OR number != high - low + 1 OR name IS NULL
"""
# If rows are out of order a room appears twice; the plus keeps SQLite from relying on their order.

CHECK_SECONDS: float = 1.0
"""How long the check may delay a start; a large file that is not in memory takes longer."""


def check(db: sqlite3.Connection, seconds: float | None = None) -> str | None:
    """Return what is damaged, empty if nothing is, None if the check did not end in time.

    Waits for a native thread. Nothing else may use the connection meanwhile. Raises sqlite3.Error.
    """
    pool = ThreadPool(1)
    checking: AsyncResult[str | sqlite3.Error] = pool.spawn(_check, db)
    limit = gevent.Timeout(seconds)
    try:
        with limit:
            found = checking.get()
    except gevent.Timeout as late:
        if late is not limit:
            raise
        return None
    finally:
        db.interrupt()
        pool.join()
        pool.kill()
    if isinstance(found, sqlite3.Error):
        raise found
    return found


def _check(db: sqlite3.Connection) -> str | sqlite3.Error:
    """Return what is damaged, or the exception: the pool would print it."""
    try:
        for pragma in "integrity_check(rooms)", "quick_check(1)":
            (found,) = db.execute(f"PRAGMA {pragma}").fetchone()
            if found != "ok":
                return str(found)
        return missing_posts(db)
    except sqlite3.Error as error:
        return error


def missing_posts(db: sqlite3.Connection) -> str:
    """Name a room with missing or unreachable posts; empty if there is none.

    Raises sqlite3.Error.
    """
    found = db.execute(_INCOMPLETE_ROOM).fetchone()
    return f"posts of {found[0] or 'some room'} are missing" if found else ""
