"""Storage errors: what is in the batch fails, nothing is left of it, and the timeline continues."""

import logging
import sqlite3
from pathlib import Path

import gevent
import pytest

from geventchat.protocol.errors import Refused
from geventchat.server.timeline.sqlite import SqliteTimeline, schema, store
from geventchat.server.timeline.sqlite.store import Store
from tests.server.record import Record, Verdicts, on_disk, say, set_topic, verdicts
from tests.server.timeline.conftest import other_program

POISON = """
CREATE TRIGGER poisoned BEFORE INSERT ON posts WHEN new.text = 'poison'
BEGIN SELECT raise(ABORT, 'poisoned'); END
"""


@pytest.fixture
def short_lock_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a commit fail at once if another program has the file locked."""
    monkeypatch.setattr(schema, "LOCKED_SECONDS", 0.01)


@pytest.fixture
def poisoned(record: Record, path: Path) -> Record:
    """A timeline whose transaction fails if a post contains `poison`."""
    with other_program(path) as db:
        db.execute(POISON)
    return record


def test_a_failed_transaction_fails_every_submission_in_it(poisoned: Record) -> None:
    poisoned.turn(say("here", "k"))
    said = [say("one"), say("here", "k"), say("poison"), say("there", "k"), say("in", room="new")]
    batch = poisoned.turn(*said)
    assert batch.failed == [each.number for each in said]
    assert verdicts(batch) == Verdicts(failed=["one", "here", "poison", "there", "in"])


def test_a_failed_transaction_leaves_no_hole(poisoned: Record) -> None:
    poisoned.fill(["one"])
    poisoned.turn(say("two"), say("poison"), say("in", room="new"))
    timeline = poisoned.timeline
    assert (timeline.position("lobby"), timeline.position("new")) == (1, 0)
    batch = poisoned.turn(say("two"), say("in", room="new"))
    assert verdicts(batch).posts == [("lobby", 2, "two"), ("new", 1, "in")]
    poisoned.close()
    poisoned.reopen()
    assert [post.text for post in poisoned.everything()] == ["one", "two"]
    assert [post.text for post in poisoned.everything("new")] == ["in"]


def test_a_failed_submission_may_be_repeated_with_its_key(poisoned: Record) -> None:
    poisoned.turn(say("hi", "k"), say("poison"))
    assert verdicts(poisoned.turn(say("hi", "k"))).posts == [("lobby", 1, "hi")]
    assert verdicts(poisoned.turn(say("hi", "k"))).repeated == [("hi", 1)]


def test_a_failure_among_repetitions_leaves_no_hole(poisoned: Record) -> None:
    poisoned.turn(say("hi", "k"))
    batch = poisoned.turn(say("hi", "k"), say("in", room="new"), say("poison"))
    assert len(batch.failed) == 3
    batch = poisoned.turn(say("hi", "k"), say("in", room="new"))
    assert verdicts(batch) == Verdicts(posts=[("new", 1, "in")], repeated=[("hi", 1)])


def test_after_a_failure_the_timeline_continues_and_the_log_says_why(
    poisoned: Record, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        assert len(poisoned.turn(say("poison"), say("private")).failed) == 2
    assert len(poisoned.turn(say("private")).entries) == 1
    assert "poisoned" in caplog.text
    failures = [each for each in caplog.records if each.levelno > logging.INFO]
    assert [each.levelname for each in failures] == ["ERROR"] * 3
    assert "private" not in caplog.text  # no message texts in the log


@pytest.mark.usefixtures("short_lock_timeout")
def test_a_file_that_another_program_keeps_locked_fails_the_batch(path: Path) -> None:
    record = Record(on_disk(path))
    with other_program(path) as db:
        db.execute("BEGIN IMMEDIATE")
        assert len(record.turn(say("one"), say("two")).failed) == 2
        db.execute("ROLLBACK")
    assert verdicts(record.turn(say("one"))).posts == [("lobby", 1, "one")]
    record.close()


@pytest.mark.usefixtures("short_lock_timeout")
def test_a_topic_that_cannot_be_stored_is_refused(path: Path) -> None:
    record = Record(on_disk(path))
    record.turn(set_topic("tea"))
    with other_program(path) as db:
        db.execute("BEGIN IMMEDIATE")
        batch = record.turn(set_topic("coffee"))
        db.execute("ROLLBACK")
    assert verdicts(batch) == Verdicts(failed=["coffee"])
    assert record.timeline.topic("lobby") == "tea"
    record.close()


def test_a_full_disk_fails_the_batch_and_nothing_else(record: Record) -> None:
    record.fill(["one"])
    assert isinstance(record.timeline, SqliteTimeline)
    db = record.timeline._store.db
    assert db is not None
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages}")
    assert len(record.turn(say("two"), say("x" * 100_000)).failed) == 2
    # There is space again: the limit of SQLite ended with the failed connection.
    assert verdicts(record.turn(say("two"))).posts == [("lobby", 2, "two")]


def test_a_failed_commit_that_reached_the_disk_is_rolled_back(record: Record, path: Path) -> None:
    """A log that was written but not synced may be complete when it is opened again."""
    record.turn(say("one"))
    record.turn(set_topic("tea"))
    store = record.timeline._store  # type: ignore[attr-defined]
    store.db.execute("PRAGMA max_page_count = 1")
    assert len(record.turn(say("x" * 100_000, "k"), say("y", room="new")).failed) == 2
    with other_program(path) as db:
        insert = "INSERT INTO posts (room, position, time, author, text, client, key) VALUES "
        db.execute(insert + "(1, 2, 0, 'anna', 'y', x'', 'k')")
        db.execute("INSERT INTO rooms (id, name, topic) VALUES (9, 'new', 'coffee')")
        db.execute(insert + "(9, 1, 0, 'anna', 'y', x'', 'l')")
    assert verdicts(record.turn(say("two", "k"), say("in", room="new"))).posts == [
        ("lobby", 2, "two"),
        ("new", 1, "in"),
    ]
    assert [post.text for post in record.everything()] == ["one", "two"]
    record.close()
    record.reopen()
    assert (record.timeline.topic("lobby"), record.timeline.topic("new")) == ("tea", "")
    assert [post.text for post in record.everything("new")] == ["in"]


def test_a_recovered_disk_is_noticed_before_the_next_message(record: Record) -> None:
    record.turn(say("one"))
    store = record.timeline._store  # type: ignore[attr-defined]
    store.db.execute("PRAGMA max_page_count = 1")
    record.turn(say("x" * 100_000))
    failed = store.db is None
    assert failed
    with gevent.Timeout(20):
        while store.db is None:
            gevent.sleep(0.01)
    assert record.timeline.oldest("lobby") == 1


def test_rooms_may_close_while_the_store_recovers(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Store(str(path))
    for number in range(9):
        opened.open(f"room-{number}")
    opened._discard_connection()

    def close_one(statement: str) -> None:
        if "min(position)" in statement:
            opened.rooms.pop(next(iter(opened.rooms)))

    def watched(file: str) -> sqlite3.Connection:
        db = schema.connect(file)
        db.set_trace_callback(close_one)
        return db

    monkeypatch.setattr(store, "connect", watched)
    opened.open("lobby")
    assert [*opened.rooms] == ["lobby"]
    opened.close()


def test_a_page_that_cannot_be_read_is_refused(record: Record, path: Path) -> None:
    record.fill(["one"])
    with other_program(path) as db:
        db.execute("ALTER TABLE posts RENAME TO stolen")
    with pytest.raises(Refused) as refused:
        record.timeline.since("lobby", 0, 1)
    assert refused.value.code == "storage"
    with pytest.raises(Refused):
        record.timeline.before("lobby", 2, 1)
