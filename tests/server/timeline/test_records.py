"""Records: what is kept beside the history."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import gevent
import pytest

from geventchat.protocol.errors import Refused
from geventchat.server.timeline import Timeline
from geventchat.server.timeline.sqlite import SqliteTimeline
from tests.server.record import Open, on_disk


def test_records_are_there_after_a_restart(kept: Open) -> None:
    timeline = started(kept)
    timeline.keep([("account", "a", b"Ann"), ("account", "b", b"Bob"), ("hook", "a", b"!")])
    timeline.keep([("account", "b", None), ("account", "a", b"Anna")])
    timeline.close(1)
    timeline = started(kept)
    assert timeline.records("account") == [("a", b"Anna")]
    assert timeline.records("hook") == [("a", b"!")]
    timeline.close(1)


def test_a_group_of_records_is_written_whole_or_not_at_all(
    tmp_path: Path, failing_commits: Callable[[SqliteTimeline], None]
) -> None:
    timeline = started(on_disk(tmp_path / "chat.db"))
    assert isinstance(timeline, SqliteTimeline)
    failing_commits(timeline)
    with pytest.raises(Refused) as caught:
        timeline.keep([("account", "a", b"Ann"), ("account", "b", b"Bob")])
    assert caught.value.code == "storage"
    timeline.keep([("account", "c", b"Cid")])
    assert timeline.records("account") == [("c", b"Cid")]
    timeline.close(1)


def test_records_of_many_greenlets_are_all_written(kept: Open) -> None:
    timeline = started(kept)
    writing = [gevent.spawn(timeline.keep, [("account", str(i), b"x")]) for i in range(20)]
    gevent.joinall(writing, raise_error=True, timeout=20)
    assert len(timeline.records("account")) == 20
    timeline.close(1)


def test_any_bytes_are_written_unchanged(kept: Open) -> None:
    timeline = started(kept)
    values = [(str(number), bytes([number]) * number) for number in (0, 31, 32, 200, 255)]
    values.append(("large", bytes(range(256)) * 1_000))
    timeline.keep([("account", each, value) for each, value in values])
    assert dict(timeline.records("account")) == dict(values)
    timeline.close(1)


@pytest.fixture
def failing_commits() -> Callable[[SqliteTimeline], None]:
    """Make the next write of records fail in the middle of its transaction."""

    def fail(timeline: SqliteTimeline) -> None:
        db = timeline._store.db
        assert db is not None

        def deny(action: int, table: str | None, *_: object) -> int:
            denied = action == sqlite3.SQLITE_DELETE and table == "records"
            return sqlite3.SQLITE_DENY if denied else sqlite3.SQLITE_OK

        db.set_authorizer(deny)

    return fail


def started(opening: Open) -> Timeline:
    timeline = opening(lambda batch: None)
    timeline.start()
    return timeline
