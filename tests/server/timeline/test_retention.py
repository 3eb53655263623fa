"""Retention: the oldest posts are deleted in steps, and positions are never reused."""

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geventchat.config import Limits
from geventchat.server.timeline.retention_policy import RetentionPolicy
from geventchat.server.timeline.sqlite import SqliteTimeline, retention
from geventchat.server.timeline.sqlite.history import SqliteHistory
from geventchat.server.timeline.sqlite.retention import STEP_POSTS
from geventchat.server.timeline.sqlite.schema import ROOM_BYTES
from tests.server.record import Record, in_file, on_disk, say, settle, verdicts

DAY_MS = 24 * 60 * 60 * 1000


def trim(record: Record, keep: RetentionPolicy) -> int:
    """Trim until nothing is left to delete; return the number of steps."""
    assert isinstance(record.timeline, SqliteTimeline)
    steps = 0
    record.timeline._store.retention.policy = keep
    settle(record.timeline)
    while record.timeline._store.trim():
        steps += 1
    return steps


def test_a_room_keeps_its_newest_posts(record: Record) -> None:
    record.fill([str(number) for number in range(2 * STEP_POSTS + 10)])
    record.turn(say("few", room="other"))
    assert trim(record, RetentionPolicy(posts_per_room=5)) >= 3
    top = 2 * STEP_POSTS + 10
    assert (record.timeline.oldest("lobby"), record.timeline.position("lobby")) == (top - 4, top)
    assert [post.position for post in record.everything()] == list(range(top - 4, top + 1))
    assert record.timeline.oldest("other") == 1


def test_posts_that_are_too_old_are_deleted(record: Record, path: Path) -> None:
    record.turn(say("old", "k"), say("new"), say("old", room="other"))
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE posts SET time = time - ? WHERE text = 'old'", (3 * DAY_MS,))
    trim(record, RetentionPolicy(days=2))
    assert [post.text for post in record.everything()] == ["new"]
    assert (record.timeline.oldest("other"), record.timeline.position("other")) == (2, 1)


def test_a_key_is_deleted_with_its_post(record: Record) -> None:
    record.turn(say("one", "k"), say("two"))
    trim(record, RetentionPolicy(posts_per_room=1))
    assert verdicts(record.turn(say("one", "k"))).posts == [("lobby", 3, "one")]


def test_a_room_trimmed_empty_reuses_no_position(record: Record, path: Path) -> None:
    record.turn(say("one"), say("two"))
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE posts SET time = 0")
    trim(record, RetentionPolicy(days=1))
    epoch = record.timeline.epoch
    record.close()
    record.reopen()
    timeline = record.timeline
    assert timeline.epoch == epoch
    assert (timeline.oldest("lobby"), timeline.position("lobby")) == (3, 2)
    assert verdicts(record.turn(say("three"))).posts == [("lobby", 3, "three")]


def test_the_file_shrinks_and_the_largest_room_is_trimmed_first(record: Record, path: Path) -> None:
    record.turn(*(say("x" * 1_000) for _ in range(3_000)), say("few", room="other"))
    before = path.stat().st_size
    trim(record, RetentionPolicy(total_bytes=1 << 20))
    record.close()  # which moves all from the log to the file
    assert path.stat().st_size < before / 2
    record.reopen()
    assert record.timeline.oldest("lobby") > 1_500
    assert record.timeline.oldest("other") == 1


@pytest.mark.parametrize("rooms", [49, 50, 51])
def test_a_file_that_is_too_large_is_trimmed_however_many_rooms_it_has(
    path: Path, rooms: int
) -> None:
    record = Record(in_file(path))
    for _ in range(5):
        record.turn(*(say("x" * 40, room=f"room-{n}") for n in range(rooms) for _ in range(50)))
    record.close()
    limit = path.stat().st_size * 2 // 3
    with SqliteHistory(str(path)).exclusive() as stored:
        stored.trim(RetentionPolicy(total_bytes=limit))
    with closing(sqlite3.connect(path)) as db:
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        (free,) = db.execute("PRAGMA freelist_count").fetchone()
    assert (pages - free) * 4096 <= limit + rooms * ROOM_BYTES


def test_what_is_too_old_is_trimmed_also_if_the_file_was_too_large(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Record(in_file(path))
    record.turn(*(say("x" * 500, room=f"room-{n}") for n in range(150) for _ in range(5)))
    record.turn(*(say("old", room=f"room-{n}") for n in range(70, 150)))
    record.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DELETE FROM posts WHERE room > 70 AND position < 6")
        db.execute("UPDATE posts SET time = time - ? WHERE text = 'old'", (3 * DAY_MS,))
    too_large = iter([1 << 40] * 6)
    monkeypatch.setattr(retention, "_used_bytes", lambda db: next(too_large, 0))
    with SqliteHistory(str(path)).exclusive() as stored:
        stored.trim(RetentionPolicy(total_bytes=1 << 30, days=2))
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM posts WHERE text = 'old'").fetchone() == (0,)


def test_a_step_takes_no_longer_because_posts_are_long(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step ends when its time is over, and the next continues there."""
    monkeypatch.setattr(retention, "_STEP_SECONDS", 0)
    record.fill(["x" * 10_000] * 20)
    timeline = record.timeline
    assert isinstance(timeline, SqliteTimeline)
    timeline.configure(Limits(history_posts_per_room=6))
    oldest = []
    while record.timeline.oldest("lobby") < 15:
        settle(timeline)
        assert timeline._store.trim()
        oldest.append(record.timeline.oldest("lobby"))
        assert len(record.everything()) == 21 - oldest[-1]
    assert oldest == [6, 11, 15]


def test_without_a_limit_nothing_is_deleted(record: Record) -> None:
    record.fill(["one"])
    assert not RetentionPolicy()
    assert trim(record, RetentionPolicy()) == 0


@given(st.lists(st.integers(1, 900), min_size=1, max_size=4), st.integers(1, 500))
def test_trimming_leaves_no_hole(sizes: list[int], most: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        record = Record(on_disk(Path(folder) / "chat.db"))
        for number, size in enumerate(sizes):
            record.turn(*(say("hi", room=f"r{number}") for _ in range(size)))
        trim(record, RetentionPolicy(posts_per_room=most))
        for number, size in enumerate(sizes):
            kept = [post.position for post in record.everything(f"r{number}")]
            assert kept == list(range(max(size - most, 0) + 1, size + 1))
        record.close()


def test_trimming_happens_while_the_server_runs(path: Path) -> None:
    record = Record(
        lambda deliver: SqliteTimeline(deliver, str(path), Limits(history_posts_per_room=1))
    )
    record.fill(["one", "two"])
    with gevent.Timeout(20):
        while record.timeline.oldest("lobby") != 2:
            gevent.sleep(0.01)
    record.close()
