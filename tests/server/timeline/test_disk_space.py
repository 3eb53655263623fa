"""Space on the disk: whether a post fits again after a failure, and a log that gets smaller."""

import logging
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from geventchat.server.timeline.sqlite import disk, schema
from geventchat.server.timeline.sqlite.disk import probe
from geventchat.server.timeline.sqlite.state_log import StateLog
from geventchat.server.timeline.sqlite.store import Store
from tests.server.record import say

LONG = "x" * 60_000


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with closing(Store(str(path))) as store:
        store.probe_bytes = 65_536
        store.open("lobby")
        store.store([say("one")])
        yield store


def wal(path: Path) -> int:
    return path.with_name("chat.db-wal").stat().st_size


@contextmanager
def room_for(path: Path, more: int) -> Iterator[None]:
    """Let no file grow beyond the log and some more."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (wal(path) + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


def maintained(store: Store) -> None:
    """Do what is due once a second while the store is failing."""
    with suppress(sqlite3.Error):
        store.maintain()
        store.probe()


def failing(store: Store) -> bool:
    return store.failing


def test_after_a_failure_the_store_is_failing_until_a_long_post_fits(
    store: Store, path: Path
) -> None:
    """A few pages may still fit, and short posts with them."""
    with room_for(path, 40_000):
        with pytest.raises(sqlite3.Error):
            store.store([say(LONG)])
        assert failing(store)
        maintained(store)
        assert failing(store)
        assert len(store.store([say("short")]).entries) == 1
        assert failing(store)
    maintained(store)
    assert not failing(store)
    with room_for(path, 0):  # what was tried stays reserved
        assert len(store.store([say(LONG)]).entries) == 1


def test_a_disk_without_space_for_a_post_is_not_used_up_by_trying(store: Store, path: Path) -> None:
    assert store.db is not None
    (pages,) = store.db.execute("PRAGMA page_count").fetchone()
    store.db.execute(f"PRAGMA max_page_count = {pages + 4}")
    store.failing = True
    size = wal(path)
    for _ in range(3):
        maintained(store)
        assert store.failing
    assert wal(path) < size + 6 * 4_200
    assert len(store.store([say("short")]).entries) == 1


def test_a_probe_changes_nothing(store: Store, path: Path) -> None:
    assert store.db is not None
    before = list(store.db.iterdump())
    size = wal(path)
    assert probe(store.db, 100_000)
    assert wal(path) >= size + 100_000
    assert list(store.db.iterdump()) == before
    assert store.db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert not store.db.in_transaction


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Hold a read transaction, as an export whose output is not read."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)) as db:
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM posts").fetchone()
        yield


def test_the_log_shrinks_without_a_restart_when_its_reader_has_ended(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "WAL_BYTES", 100_000)
    with reading(path):
        store.store([say(LONG), say(LONG)])
        store.maintain()
        assert store.space.wal_bytes > 100_000
    assert wal(path) > 100_000
    store.maintain()
    assert wal(path) == 0
    store.maintain()
    assert (store.space.wal_bytes, store.space.database_bytes) == (0, path.stat().st_size)
    assert len(store.store([say("on")]).entries) == 1


def test_a_log_that_a_reader_holds_is_logged_once_and_again_when_it_has_shrunk(
    store: Store,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(disk, "WAL_BYTES", 100_000)
    state_log = StateLog(store, "chat.db")

    def rounds(count: int) -> None:
        for _ in range(count):
            store.maintain()
            state_log.note()

    with reading(path):
        store.store([say(LONG), say(LONG)])
        rounds(4)  # as short as a reader of the server
        assert not caplog.records
        rounds(20)
    rounds(3)
    assert [each.message.partition(" and ")[0] for each in caplog.records] == [
        "chat.db-wal has grown to 0 MB",
        "chat.db-wal has shrunk again",
    ]
    assert "geventchat history export" in caplog.records[0].message


def test_a_commit_shrinks_a_large_log_too(store: Store) -> None:
    assert store.db is not None
    assert store.db.execute("PRAGMA journal_size_limit").fetchone() == (disk.WAL_BYTES,)
    assert store.db.execute("PRAGMA busy_timeout").fetchone() == (schema.LOCKED_SECONDS * 1000,)
