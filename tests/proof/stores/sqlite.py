"""SQLite: a file beside the server."""

import os
import shutil
import sqlite3
import time
from collections.abc import Iterable
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.proof.checker import Run, StoredPost
from tests.proof.contents import Place, run_of
from tests.proof.moments import SQLITE
from tests.proof.stores.base import Scene, Store

DATABASE_SECONDS: Final = 10.0
"""How soon a redacted text has to be gone from the database and its log."""


class SqliteStore(Store):
    """A database that can run out of disk space, and of which an older copy can be restored."""

    moments = tuple(SQLITE)
    fault_share = 0.5
    kill_share = 1.0

    def __init__(self, folder: Path, _: ExitStack) -> None:
        self._database = folder / "chat.db"
        self.timeline = f"sqlite:{self._database}"
        self.faults = {"disk full": self._fill_disk}
        self.losses = {"older copy restored": self._roll_back}

    def read(self) -> Run:
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as db:
            (epoch,) = db.execute("SELECT epoch FROM store").fetchone()
            rows = db.execute(
                "SELECT rooms.name, position, key, text, posts.change, redacted, account FROM posts"
                " JOIN rooms ON rooms.id = posts.room ORDER BY rooms.name, position"
            ).fetchall()
            records: dict[str, dict[str, Any]] = {}
            query = "SELECT kind, id, value FROM records WHERE value <> x''"
            for kind, identity, value in db.execute(query):
                records.setdefault(kind, {})[identity] = msgspec.msgpack.decode(value)
        return run_of(epoch, map(StoredPost._make, rows), records)

    def places(self, late_seconds: float) -> Iterable[Place]:
        database, index = ("", "-wal"), (".search", ".search-wal")
        for ends, seconds in (database, DATABASE_SECONDS), (index, late_seconds):
            paths = [self._database.with_name(f"{self._database.name}{end}") for end in ends]
            yield Place(paths[0].name, seconds, partial(_bytes_of, paths))

    def _fill_disk(self, scene: Scene) -> None:
        files = self._database.parent.glob("chat.db*")
        scene.server.limit_files(max(path.stat().st_size for path in files))
        time.sleep(scene.dice.uniform(0.1, 0.6))
        scene.server.limit_files(None)

    def _roll_back(self, scene: Scene) -> None:
        """Restore a copy that is two seconds old, as after a loss of the disk."""
        copy = self._database.with_name("copy")
        with closing(sqlite3.connect(self._database)) as db, closing(sqlite3.connect(copy)) as to:
            db.backup(to)
        time.sleep(2.0)
        scene.server.kill()
        for suffix in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                os.unlink(f"{self._database}{suffix}")
        shutil.move(copy, self._database)
        scene.server.start()
        time.sleep(1.0)


def _bytes_of(paths: Iterable[Path]) -> bytes:
    return b"".join(path.read_bytes() for path in paths if path.exists())
