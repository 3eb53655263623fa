"""The timeline in a SQLite file: durable, checked, and exclusive to one server."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import gevent
import pytest

from geventchat.config import BadOption
from geventchat.protocol.errors import Refused
from geventchat.server.timeline import Batch
from geventchat.server.timeline.sqlite import SqliteTimeline, schema
from tests.server.record import Record, Verdicts, on_disk, posts_of, say, set_topic, verdicts


@pytest.fixture
def short_lock_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a commit fail at once if another program has the file locked."""
    monkeypatch.setattr(schema, "LOCKED_SECONDS", 0.01)


def other_program(path: Path) -> "closing[sqlite3.Connection]":
    return closing(sqlite3.connect(path, isolation_level=None))


# Durability


def test_posts_and_topics_survive_a_restart(record: Record) -> None:
    record.turn(say("one", "k"), say("two", room="other"), say("three"))
    record.turn(set_topic("tea"))
    epoch, posts = record.timeline.epoch, record.everything()
    record.close()
    record.reopen()
    timeline = record.timeline
    assert (timeline.epoch, record.everything()) == (epoch, posts)
    assert (timeline.position("lobby"), timeline.position("other")) == (2, 1)
    assert (timeline.oldest("lobby"), timeline.topic("lobby")) == (1, "tea")
    assert verdicts(record.turn(say("four"), say("five", room="other"))).posts == [
        ("lobby", 3, "four"),
        ("other", 2, "five"),
    ]


def test_a_key_survives_a_restart(record: Record) -> None:
    record.turn(say("one"), say("two", "k"))
    record.close()
    record.reopen()
    batch = record.turn(say("two", "k"), say("other", "k"), say("two", "k", client=b"c2"))
    assert verdicts(batch) == Verdicts(
        posts=[("lobby", 3, "two")], repeated=[("two", 2)], conflicts=["other"]
    )


def test_a_topic_without_posts_survives_a_restart(record: Record) -> None:
    record.turn(set_topic("tea", room="fresh"))
    record.close()
    record.reopen()
    assert (record.timeline.topic("fresh"), record.timeline.position("fresh")) == ("tea", 0)
    assert record.timeline.oldest("fresh") == 1


def test_a_delivered_post_is_in_the_file_for_any_program_to_read(path: Path) -> None:
    seen: list[int] = []

    def deliver(_: object) -> None:
        with other_program(path) as db:
            seen.extend(db.execute("SELECT count(*) FROM posts").fetchone())

    timeline = SqliteTimeline(deliver, str(path))
    timeline.start()
    timeline.append(say("one"))
    timeline.append(say("two"))
    timeline.close(10)
    assert seen == [2]


def test_the_epoch_is_in_the_file_before_the_first_post(record: Record, path: Path) -> None:
    with other_program(path) as db:
        assert db.execute("SELECT epoch FROM store").fetchall() == [(record.timeline.epoch,)]


def test_a_commit_is_on_the_disk_when_it_returns(record: Record) -> None:
    assert isinstance(record.timeline, SqliteTimeline)
    db = record.timeline._store.db
    assert db is not None
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    full = 2
    assert db.execute("PRAGMA synchronous").fetchone() == (full,)


def test_readers_cannot_write(record: Record) -> None:
    assert isinstance(record.timeline, SqliteTimeline)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        record.timeline._reader._db.execute("DELETE FROM posts")


@pytest.mark.parametrize(
    "name", ["a b.db", "100%.db", "what?.db", "#1.db", "ü.db", "a;b&mode=rw.db"]
)
def test_a_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    record = Record(on_disk(tmp_path / name))
    record.fill(["one"])
    assert len(record.everything()) == 1
    record.close()
    assert (tmp_path / name).is_file()


# Storage errors

POISON = """
CREATE TRIGGER poisoned BEFORE INSERT ON posts WHEN new.text = 'poison'
BEGIN SELECT raise(ABORT, 'poisoned'); END
"""


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
    assert [each.levelname for each in caplog.records] == ["ERROR"] * 3
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
        db.execute("INSERT INTO posts VALUES (1, 2, 0, 'anna', 'y', x'', 'k', 0)")
        db.execute("INSERT INTO rooms (id, name, topic) VALUES (9, 'new', 'coffee')")
        db.execute("INSERT INTO posts VALUES (9, 1, 0, 'anna', 'y', x'', 'l', 0)")
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
    with gevent.Timeout(5):
        while store.db is None:
            gevent.sleep(0.01)
    assert record.timeline.oldest("lobby") == 1


def test_a_page_that_cannot_be_read_is_refused(record: Record, path: Path) -> None:
    record.fill(["one"])
    with other_program(path) as db:
        db.execute("ALTER TABLE posts RENAME TO stolen")
    with pytest.raises(Refused) as refused:
        record.timeline.since("lobby", 0, 1)
    assert refused.value.code == "storage"
    with pytest.raises(Refused):
        record.timeline.before("lobby", 2, 1)


# The disk and the event loop


def test_the_loop_continues_while_the_disk_is_busy(record: Record, path: Path) -> None:
    ticks = 0
    with other_program(path) as db:
        db.execute("BEGIN IMMEDIATE")
        record.timeline.append(say("one"))
        with gevent.Timeout(5):
            while ticks < 20:
                gevent.sleep(0.001)
                ticks += 1
        assert record.batches == []
        db.execute("ROLLBACK")
    assert len(record.wait().entries) == 1


def test_submissions_while_the_disk_is_busy_become_one_batch(record: Record, path: Path) -> None:
    with other_program(path) as db:
        db.execute("BEGIN IMMEDIATE")
        record.timeline.append(say("first"))
        while record.timeline._submitted:  # until the first is being stored
            gevent.sleep(0)
        for number in range(50):
            record.timeline.append(say(str(number)))
            gevent.sleep(0)
        db.execute("ROLLBACK")
    assert len(record.wait().entries) == 1
    assert len(record.wait().entries) == 50


def test_history_can_be_read_while_the_disk_is_busy(record: Record, path: Path) -> None:
    record.fill(["one", "two"])
    with other_program(path) as db:
        db.execute("BEGIN IMMEDIATE")
        record.timeline.append(say("three"))
        gevent.sleep(0)
        with gevent.Timeout(5):
            assert len(record.timeline.since("lobby", 0, 9)) == 2
        db.execute("ROLLBACK")
    record.wait()


def test_while_one_batch_is_delivered_the_next_is_stored(path: Path) -> None:
    stored_meanwhile = []

    def deliver(batch: Batch) -> None:
        """Block on the first batch until the other thread has stored the second."""
        if posts_of(batch)[0].text == "first":
            end = time.monotonic() + 5
            while count() < 2 and time.monotonic() < end:
                time.sleep(0.001)  # unpatched: nothing else runs in this thread
            stored_meanwhile.append(count())

    def count() -> int:
        with other_program(path) as db:
            (posts,) = db.execute("SELECT count(*) FROM posts").fetchone()
        return int(posts)

    timeline = SqliteTimeline(deliver, str(path))
    timeline.start()
    with other_program(path) as db:
        db.execute("BEGIN IMMEDIATE")
        timeline.append(say("first"))
        while timeline._submitted:
            gevent.sleep(0)
        timeline.append(say("second"))
        db.execute("ROLLBACK")
    timeline.close(10)
    assert stored_meanwhile == [2]


# Damage, older files, older copies

SCHEMA_1 = """
CREATE TABLE store (epoch TEXT NOT NULL);
CREATE TABLE rooms (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, topic TEXT NOT NULL DEFAULT ''
);
CREATE TABLE posts (
    room INTEGER NOT NULL REFERENCES rooms,
    position INTEGER NOT NULL,
    time INTEGER NOT NULL,
    author TEXT NOT NULL,
    text TEXT NOT NULL,
    client BLOB,
    key TEXT,
    PRIMARY KEY (room, position)
) WITHOUT ROWID;
CREATE UNIQUE INDEX said_once ON posts (client, key, room) WHERE key IS NOT NULL;
INSERT INTO store VALUES ('an-epoch-of-a-first-version');
INSERT INTO rooms VALUES (1, 'lobby', 'tea');
INSERT INTO posts VALUES (1, 1, 5, 'anna', 'one', x'6331', 'k');
INSERT INTO posts VALUES (1, 2, 6, 'bert', 'two', x'', NULL);
PRAGMA application_id = 0x67766368;
PRAGMA user_version = 1;
"""


def test_a_database_of_the_first_version_is_migrated(path: Path) -> None:
    with other_program(path) as db:
        db.executescript(SCHEMA_1)
    record = Record(on_disk(path))
    assert record.timeline.epoch == "an-epoch-of-a-first-version"
    assert record.timeline.topic("lobby") == "tea"
    assert [post.text for post in record.everything()] == ["one", "two"]
    assert verdicts(record.turn(say("one", "k"))).repeated == [("one", 1)]
    assert verdicts(record.turn(say("three"))).posts == [("lobby", 3, "three")]
    record.close()


@pytest.mark.parametrize(
    "change",
    [
        "text = 'Two'",
        "text = CAST(x'ff' AS TEXT)",
        "author = 'anne'",
        "time = time + 1",
        "key = 'j'",
        "client = x'00'",
        "sum = sum + 1",
        "text = 3",
    ],
)
def test_a_damaged_post_is_neither_returned_nor_skipped(
    record: Record, path: Path, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    record.turn(say("one"), say("two", "k"), say("three"))
    with other_program(path) as db:
        db.execute(f"UPDATE posts SET {change} WHERE position = 2")
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            record.timeline.since("lobby", 0, 3)
        assert refused.value.code == "storage"
    with pytest.raises(Refused):
        record.timeline.before("lobby", 4, 3)
    assert [post.text for post in record.timeline.since("lobby", 2, 3)] == ["three"]
    assert caplog.text.count("position 2 of lobby is damaged") == 1
    assert verdicts(record.turn(say("four"))).posts == [("lobby", 4, "four")]


@pytest.mark.parametrize("position", [1, 2, 3])
def test_a_missing_post_is_never_skipped(record: Record, path: Path, position: int) -> None:
    record.turn(say("one"), say("two"), say("three"))
    with other_program(path) as db:
        db.execute("DELETE FROM posts WHERE position = ?", (position,))
    since, before = record.timeline.since, record.timeline.before
    for read, first, second in (
        (since, 0, 3),
        (since, position - 1, 3),
        (since, position - 1, position),
        (before, 4, 3),
        (before, position + 1, 1),
    ):
        with pytest.raises(Refused) as refused:
            read("lobby", first, second)
        assert refused.value.code == "storage"


@pytest.mark.parametrize(
    "change", ["text = 'Two'", "text = CAST(x'ff' AS TEXT)", "author = CAST(x'ff' AS TEXT)"]
)
def test_a_say_that_may_repeat_a_damaged_post_is_no_conflict(
    record: Record, path: Path, change: str
) -> None:
    record.turn(say("one"), say("two", "k"))
    with other_program(path) as db:
        db.execute(f"UPDATE posts SET {change} WHERE position = 2")
    batch = record.turn(say("two", "k"), say("three"))
    assert verdicts(batch) == Verdicts(posts=[("lobby", 3, "three")], failed=["two"])


def copy(path: Path, to: Path) -> None:
    """Copy a database that is not in use."""
    to.write_bytes(path.read_bytes())


def test_a_restored_older_copy_gets_a_new_epoch(
    record: Record, path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record.turn(say("one"))
    epoch = record.timeline.epoch
    record.close()
    copy(path, tmp_path / "backup")
    record.reopen()
    record.turn(say("two"))
    record.close()
    assert record.timeline.epoch == epoch
    copy(tmp_path / "backup", path)

    record.reopen()

    renewed = record.timeline.epoch
    assert renewed != epoch
    assert "is older than the last known state" in caplog.text
    assert verdicts(record.turn(say("three"))).posts == [("lobby", 2, "three")]
    record.close()
    record.reopen()
    assert record.timeline.epoch == renewed


def test_a_copy_with_another_epoch_gets_a_new_epoch(
    record: Record, path: Path, tmp_path: Path
) -> None:
    record.turn(say("one"))
    record.close()
    copy(path, tmp_path / "backup")
    path.unlink()
    record.reopen()
    record.close()
    former = {record.timeline.epoch}
    copy(tmp_path / "backup", path)
    record.reopen()
    assert record.timeline.epoch not in former


def test_a_restored_identical_copy_keeps_its_epoch(
    record: Record, path: Path, tmp_path: Path
) -> None:
    record.turn(say("one"))
    epoch = record.timeline.epoch
    record.close()
    copy(path, tmp_path / "backup")
    copy(tmp_path / "backup", path)
    record.reopen()
    assert record.timeline.epoch == epoch


def test_a_stale_broken_or_missing_guard_file_keeps_the_epoch(record: Record, path: Path) -> None:
    """It is behind after a crash, and may be truncated by a power failure."""
    record.turn(say("one"))
    epoch = record.timeline.epoch
    record.close()
    guard = Path(f"{path}.guard")
    seen = guard.read_text()
    for left in (seen.replace('"posts": 1', '"posts": 0'), "", "{", "[]", None):
        if left is None:
            guard.unlink()
        else:
            guard.write_text(left)
        record.reopen()
        assert record.timeline.epoch == epoch
        record.close()
    record.reopen()


def test_a_large_file_is_checked_while_the_server_runs(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    record = Record(on_disk(path))
    record.fill(["x" * 100] * 2_000)
    record.close()
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)  # not where the newest posts are, nor the oldest
        file.write(b"\xa5" * 4_096)
    with pytest.raises(BadOption, match="damaged"):
        Record(on_disk(path))

    monkeypatch.setattr(schema, "CHECK_SECONDS", 0.0)
    record = Record(on_disk(path))
    assert isinstance(record.timeline, SqliteTimeline)
    assert record.timeline._check is not None
    assert verdicts(record.turn(say("goes on"))).posts == [("lobby", 2_001, "goes on")]
    record.timeline._check.join(5)
    record.close()
    assert f"{path} is damaged" in caplog.text


def test_shutdown_does_not_wait_for_the_check_of_a_large_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Record(on_disk(path)).close()
    monkeypatch.setattr(schema, "CHECK_SECONDS", 0.0)
    Record(on_disk(path)).close()
    assert not caplog.text
