"""The space of a database on the disk: whether a post fits, and the size of the write-ahead log."""

import os
import sqlite3
from typing import Final

WAL_BYTES: int = 64 << 20
"""A write-ahead log is made smaller above this; without a reader that holds it, it takes some 4 MB
and the largest commit."""
_SPARE_BYTES: Final = 32 << 10
"""What a commit writes with a post: pages of tables and indexes."""


def probe(db: sqlite3.Connection, size: int) -> bool:
    """Return whether a post of `size` bytes fits: as much is written to the log and rolled back.

    The space stays reserved there for the next commit. Raises sqlite3.Error.
    """
    (cache,) = db.execute("PRAGMA cache_size").fetchone()
    db.execute("PRAGMA cache_size = 1")  # so that the pages are written before the commit
    db.execute("BEGIN IMMEDIATE")
    try:
        db.execute("CREATE TABLE probe (filler BLOB)")
        # Random: some file systems compress.
        db.execute("INSERT INTO probe VALUES (randomblob(?))", (size + _SPARE_BYTES,))
    except sqlite3.OperationalError as error:
        # A new connection would commit, and so use up what is left for short posts.
        if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
            raise
        return False
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
        db.execute(f"PRAGMA cache_size = {cache}")
    return True


class Space:
    """The size of a database and of its write-ahead log. Used by one thread at a time."""

    def __init__(self, path: str) -> None:
        self._path = os.path.realpath(path)
        self.database_bytes = 0
        self.wal_bytes = 0
        self.held = 0
        """For how many rounds of maintenance a large log could not be emptied for a reader."""

    def measure(self) -> None:
        """Look at the files."""
        self.database_bytes, self.wal_bytes = _size(self._path), _size(f"{self._path}-wal")

    def shrink(self, db: sqlite3.Connection) -> None:
        """Empty a large log, unless a reader still needs it. Raises sqlite3.Error."""
        if self.wal_bytes <= WAL_BYTES:
            self.held = 0
            return
        self.held = 0 if self.empty_log(db) else self.held + 1

    def empty_log(self, db: sqlite3.Connection, wait_ms: int = 0) -> bool:
        """Empty the log; return whether no reader needs it for so long. Raises sqlite3.Error."""
        (timeout,) = db.execute("PRAGMA busy_timeout").fetchone()
        db.execute(f"PRAGMA busy_timeout = {wait_ms}")  # commits must not wait for readers
        try:
            (busy, _, _) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            db.execute(f"PRAGMA busy_timeout = {timeout}")
        return not busy


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
