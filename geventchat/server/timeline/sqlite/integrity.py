"""Whether a file is whole but for the posts' texts, which takes reading all of it.

SQLite vouches for its structure alone. A bit that is flipped in the name of a room or in a position
would make another room, or end a history sooner: so names are compared with their index, and the
posts of each room are counted.
"""

import sqlite3
from typing import Final

import gevent
from gevent.event import AsyncResult
from gevent.threadpool import ThreadPool

_UNCOUNTED: Final = """
SELECT name FROM (
    SELECT room, min(position) AS low, max(position) AS high, count(*) AS number
    FROM posts GROUP BY room
) LEFT JOIN rooms ON rooms.id = room
GROUP BY +room HAVING count(*) > 1 OR number != high - low + 1 OR name IS NULL
"""
# Out of order, a room is met twice; the plus keeps SQLite from relying on their order again.

LOOK_SECONDS: float = 1.0
"""How long a look may hold up a start; a large file that is not in memory takes longer."""


def look(db: sqlite3.Connection, seconds: float | None = None) -> str | None:
    """Give what is damaged, nothing if it is whole, None if that could not be told in time.

    In a native thread, for which this waits. The connection must have nothing else to do meanwhile.
    Raises sqlite3.Error.
    """
    pool = ThreadPool(1)
    looking: AsyncResult[str | sqlite3.Error] = pool.spawn(_look, db)
    limit = gevent.Timeout(seconds)
    try:
        with limit:
            found = looking.get()
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


def _look(db: sqlite3.Connection) -> str | sqlite3.Error:
    """Give what is found, or what fails: the pool would print it."""
    try:
        for check in "integrity_check(rooms)", "quick_check(1)":
            (found,) = db.execute(f"PRAGMA {check}").fetchone()
            if found != "ok":
                return str(found)
        return missing(db)
    except sqlite3.Error as error:
        return error


def missing(db: sqlite3.Connection) -> str:
    """Say of which room posts are missing or out of reach, if any are. Raises sqlite3.Error."""
    found = db.execute(_UNCOUNTED).fetchone()
    return f"posts of {found[0] or 'some room'} are missing" if found else ""
