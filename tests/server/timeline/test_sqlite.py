"""The timeline in a SQLite file: durable, and a busy disk does not stop the event loop."""

import socket
import sqlite3
from pathlib import Path

import gevent
import pytest

from geventchat.server.timeline import Batch
from geventchat.server.timeline.sqlite import SqliteTimeline
from tests.server.record import Record, Verdicts, on_disk, posts_of, say, set_topic, verdicts
from tests.server.timeline.conftest import other_program

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


# The disk and the event loop


def test_the_loop_continues_while_the_disk_is_busy(record: Record, path: Path) -> None:
    ticks = 0
    with other_program(path) as db:
        db.execute("BEGIN IMMEDIATE")
        record.timeline.append(say("one"))
        with gevent.Timeout(20):
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
        with gevent.Timeout(20):
            assert len(record.timeline.since("lobby", 0, 9)) == 2
        db.execute("ROLLBACK")
    record.wait()


def test_what_is_readable_when_a_batch_is_delivered_is_stored_together(path: Path) -> None:
    """A commit costs more than what is in it."""
    batches: list[list[str]] = []
    ours, theirs = socket.socketpair()
    reader = gevent.get_hub().loop.io(ours.fileno(), 1)

    def read() -> None:
        reader.stop()
        timeline.append(say("read"))

    def deliver(batch: Batch) -> None:
        batches.append([post.text for post in posts_of(batch)])
        if len(batches) == 1:
            theirs.send(b"x")
            timeline.append(say("submitted"))

    timeline = SqliteTimeline(deliver, str(path))
    timeline.start()
    reader.start(read)
    timeline.append(say("first"))
    with gevent.Timeout(20):
        while len(batches) < 2:
            gevent.sleep(0.001)
    assert batches == [["first"], ["submitted", "read"]]
    reader.close()
    ours.close()
    theirs.close()
    timeline.close(10)


# Older files

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
