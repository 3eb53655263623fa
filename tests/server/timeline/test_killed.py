"""A store killed between any two statements has the state before or after."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.server.record import Record, in_file, say, verdicts
from tests.server.timeline.test_sqlite import SCHEMA_1


def databases_after_kills(act: str, path: Path, folder: Path) -> list[Path]:
    """Return the databases left by kills before each statement."""
    folder.mkdir()
    subprocess.run(
        [sys.executable, "-m", "tests.server.killed", act, str(path), str(folder)], check=True
    )
    found = sorted(folder.iterdir(), key=lambda place: int(place.name))
    assert len(found) > 3
    return [place / path.name for place in found]


@contextmanager
def opened(path: Path) -> Iterator[Record]:
    record = Record(in_file(path))
    try:
        yield record
    finally:
        record.close()


def texts(record: Record, room: str = "lobby") -> list[str]:
    return [post.text for post in record.everything(room)]


def test_a_kill_while_the_database_is_created_is_repaired_at_the_next_start(tmp_path: Path) -> None:
    for left in databases_after_kills("boot", tmp_path / "chat.db", tmp_path / "left"):
        with opened(left) as record:
            epoch = record.timeline.epoch
            assert verdicts(record.turn(say("one"))).posts == [("lobby", 1, "one")]
        with opened(left) as record:
            assert (record.timeline.epoch, texts(record)) == (epoch, ["one"])


def test_a_kill_during_a_migration_is_repaired_at_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(SCHEMA_1)
    for left in databases_after_kills("migrate", path, tmp_path / "left"):
        with opened(left) as record:
            assert record.timeline.epoch == "an-epoch-of-a-first-version"
            assert texts(record) == ["one", "two"]
            assert verdicts(record.turn(say("one", "k"))).repeated == [("one", 1)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a database with posts that is not in use."""
    path = tmp_path / "chat.db"
    with opened(path) as record:
        record.turn(say("one", "k1"), say("two", "k2"), say("three"))
    return path


def test_a_kill_during_a_commit_keeps_the_whole_batch_or_nothing(
    path: Path, tmp_path: Path
) -> None:
    with opened(path) as record:
        epoch = record.timeline.epoch
    for left in databases_after_kills("store", path, tmp_path / "left"):
        with opened(left) as record:
            assert record.timeline.epoch == epoch
            stored = texts(record, "another") == ["hi"]
            assert texts(record) == ["one", "two", "three", *(["new"] if stored else [])]
            found = verdicts(record.turn(say("new", "n1")))
            assert found.repeated == ([("new", 4)] if stored else [])
            assert found.posts == ([] if stored else [("lobby", 4, "new")])


def test_a_kill_during_a_trim_leaves_no_hole_and_reuses_no_position(
    path: Path, tmp_path: Path
) -> None:
    for left in databases_after_kills("trim", path, tmp_path / "left"):
        with opened(left) as record:
            assert texts(record) in (["one", "two", "three"], [])
            assert verdicts(record.turn(say("four"))).posts == [("lobby", 4, "four")]


def test_a_truncated_write_ahead_log_loses_whole_batches_only(tmp_path: Path) -> None:
    """A power failure may truncate the log; commits synced before are intact."""
    path = tmp_path / "chat.db"
    with opened(path) as record:
        for number in range(5):
            record.turn(say(f"{number}a"), say(f"{number}b"))
        left = tmp_path / "left"
        shutil.copytree(tmp_path, left, ignore=shutil.ignore_patterns("left", "*.lock"))
        log = (left / "chat.db-wal").read_bytes()
    before = 0
    for size in range(0, len(log) + 1, 1_031):
        place = tmp_path / f"cut-{size}"
        place.mkdir()
        shutil.copy(left / "chat.db", place)
        (place / "chat.db-wal").write_bytes(log[:size])
        with opened(place / "chat.db") as record:
            found = texts(record)
            assert (
                found
                == [f"{number}{letter}" for number in range(5) for letter in "ab"][: len(found)]
            )
            assert len(found) % 2 == 0
            assert len(found) >= before
            before = len(found)
    assert before > 0
