"""Whether the structure of a file is whole, as SQLite sees it, which reads all of the file."""

import sqlite3

import gevent
from gevent.event import AsyncResult
from gevent.threadpool import ThreadPool

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
        (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        return error
    return "" if found == "ok" else str(found)
