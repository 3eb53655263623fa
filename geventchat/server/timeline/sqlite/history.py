"""The history in a SQLite file, for `geventchat history`."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from geventchat.server.timeline.clock import DAY_MS
from geventchat.server.timeline.history import History, NotTrimmed, Readable, Writable
from geventchat.server.timeline.lines import EndLine
from geventchat.server.timeline.retention_policy import RetentionPolicy
from geventchat.server.timeline.sqlite import export
from geventchat.server.timeline.sqlite.claim import Claim, unusable
from geventchat.server.timeline.sqlite.restore import import_lines
from geventchat.server.timeline.sqlite.schema import VERSION, connect, identify
from geventchat.server.timeline.sqlite.store import Store


class SqliteHistory(History):
    """The history in the file at a path."""

    @contextmanager
    def reading(self) -> Iterator[Readable]:
        path = self._existing()
        try:
            with closing(connect(path, readonly=True)) as db:
                tables, version = identify(db)
                if not tables:
                    raise unusable(path, "is empty; it holds no history")
                if version != VERSION:
                    reason = "an older geventchat wrote this database"
                    raise unusable(path, f"{reason}; start the server once to upgrade")
                db.execute("BEGIN")  # for one snapshot of everything
                yield _Snapshot(db)
        except sqlite3.Error as error:
            raise unusable(path, str(error)) from None

    @contextmanager
    def exclusive(self) -> Iterator[Writable]:
        with _claimed(self._existing()) as store:
            yield _Claimed(store)

    def import_lines(self, lines: Iterable[bytes]) -> EndLine:
        with _claimed(self._path) as store:
            assert store.db is not None
            end = import_lines(store.db, lines)
            store.reload()
        return end

    def _existing(self) -> str:
        if not Path(self._path).is_file():
            raise unusable(self._path, "file not found")
        return self._path


@contextmanager
def _claimed(path: str) -> Iterator[Store]:
    """Open a database that no server uses; what was created goes if the block fails."""
    claim = Claim(path)
    try:
        with closing(Store(path)) as store:
            yield store
    except sqlite3.Error as error:
        raise claim.abandon(error) from None
    except BaseException:
        claim.abandon()
        raise
    claim.release()


class _Snapshot(Readable):
    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def export_lines(self) -> Iterator[bytes]:
        return export.export_lines(self._db)

    def damage(self) -> Iterator[str]:
        try:
            yield from export.damage(self._db)
        except sqlite3.DatabaseError as error:
            yield str(error)

    def unreachable_posts(self) -> str:
        return export.unreachable_posts(self._db)


class _Claimed(_Snapshot, Writable):
    def __init__(self, store: Store) -> None:
        assert store.db is not None
        super().__init__(store.db)
        self._store = store

    def moved_lines(self, before_end: Callable[[], None]) -> Iterator[bytes]:
        def give_away() -> str:
            before_end()
            epoch: str = self._store.epoch
            self._store.renew()
            return epoch

        return export.export_lines(self._db, give_away)

    def trim(self, keep: RetentionPolicy) -> int:
        store = self._store
        store.retention.policy = keep
        if ahead_ms := store.clock.ahead_ms(keep.away_ms) if keep.days else 0:
            store.clock.confirm()
            raise NotTrimmed(
                f"by the system clock {ahead_ms / DAY_MS:.1f} days have passed since the database"
                " was used; if that is right, run this again"
            )
        before, last = self._posts(), 0
        # A step examines only some of the rooms: it ends when a whole round deletes nothing.
        while store.retention.rounds < last + 2:
            if store.trim():
                last = store.retention.rounds
        return before - self._posts()

    def renew(self) -> None:
        self._store.renew()

    def _posts(self) -> int:
        (count,) = self._db.execute("SELECT count(*) FROM posts").fetchone()
        return int(count)
