"""Rooms with a topic, by name: what is found of rooms that nobody is in."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geventchat.protocol.errors import Refused
from geventchat.protocol.events import ListedRoom
from geventchat.server.timeline.sqlite import SqliteTimeline
from tests.engines import KINDS, RunningEngine
from tests.server.record import Open, Record, on_disk, say, set_topic
from tests.server.timeline.conftest import opened
from tests.server.timeline.test_many_rooms import counted
from tests.server.timeline.test_migrations import SCHEMA_2

MANY = 100_000
NAMES = ["a", "ab", "abc", "b", "é", "日本", ".a", ".", "a.b", "/", "-"]


@pytest.fixture
def record(opening: Open) -> Iterator[Record]:
    record = Record(opening)
    yield record
    record.close()


def found(record: Record, prefix: str = "", after: str = "", limit: int = 100) -> list[str]:
    return [room.name for room in record.timeline.with_topic(prefix, after, limit)]


def test_a_room_is_found_with_its_topic_and_newest_position(record: Record) -> None:
    record.turn(say("one", room="attic"), say("two", room="attic"), set_topic("dust", room="attic"))
    record.turn(set_topic("wine 🍷", room="cellar"), say("hi", room="bare"))
    assert record.timeline.with_topic("", "", 5) == [
        ListedRoom(name="attic", topic="dust", members=0, position=2),
        ListedRoom(name="cellar", topic="wine 🍷", members=0, position=0),
    ]


def test_a_room_whose_topic_is_removed_is_found_no_more(record: Record) -> None:
    record.turn(set_topic("dust", room="attic"), set_topic("wine", room="cellar"))
    record.turn(set_topic("", room="attic"))
    record.turn(set_topic("", room="never-had-one"))
    assert found(record) == ["cellar"]


def test_a_name_that_begins_with_a_dot_is_never_found(record: Record) -> None:
    record.turn(*(set_topic("t", room=room) for room in (".", ".a", "a.b", "-", "/")))
    assert found(record) == ["-", "/", "a.b"]
    assert found(record, prefix=".") == found(record, prefix=".a") == []


def test_rooms_come_by_name_so_many_at_a_time(record: Record) -> None:
    names = [f"r{number:03}" for number in range(60)]
    record.turn(*(set_topic("t", room=room) for room in reversed(names)))
    pages = [found(record, limit=25)]
    while pages[-1]:
        pages.append(found(record, after=pages[-1][-1], limit=25))
    assert [len(page) for page in pages] == [25, 25, 10, 0]
    assert [name for page in pages for name in page] == names


@pytest.mark.parametrize("kind", ["memory", "sqlite", *KINDS])
@settings(max_examples=40)  # each makes a database
@given(
    topics=st.lists(
        st.tuples(st.sampled_from(NAMES), st.sampled_from(["", "x"])), min_size=1, max_size=20
    ),
    asked=st.lists(
        st.tuples(
            st.sampled_from(["", *NAMES, "z", "a\u0301"]),
            st.sampled_from(["", *NAMES]),
            st.integers(1, 5),
        ),
        min_size=1,
    ),
)
def test_what_is_found_is_what_a_sorted_list_has(
    kind: str,
    topics: list[tuple[str, str]],
    asked: list[tuple[str, str, int]],
    tmp_path_factory: pytest.TempPathFactory,
    engines: Callable[[str], RunningEngine],
) -> None:
    path = tmp_path_factory.mktemp("model") / "chat.db"
    record = Record(opened(kind, path, engines))
    try:
        record.turn(*(set_topic(topic, room=room) for room, topic in topics))
        having = sorted(name for name, topic in dict(topics).items() if topic and name[0] != ".")
        for prefix, after, limit in asked:
            expected = [name for name in having if name.startswith(prefix) and name > after]
            assert found(record, prefix, after, limit) == expected[:limit]
    finally:
        record.close()


# In a file


def test_a_restart_forgets_no_topic(path: Path) -> None:
    record = Record(on_disk(path))
    record.turn(say("one", room="attic"), set_topic("dust", room="attic"))
    before = record.timeline.with_topic("", "", 5)
    record.close()
    record.reopen()
    assert record.timeline.with_topic("", "", 5) == before != []
    record.close()


def test_a_room_that_was_trimmed_empty_keeps_its_position(path: Path) -> None:
    record = Record(on_disk(path))
    record.turn(*(say("x", room="attic") for _ in range(3)), set_topic("dust", room="attic"))
    record.close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE rooms SET top = 3 WHERE name = 'attic'")
        db.execute("DELETE FROM posts")
    record.reopen()
    assert [room.position for room in record.timeline.with_topic("", "", 5)] == [3]
    record.close()


@pytest.mark.parametrize("version", [2, 3])
def test_rooms_of_an_older_database_are_found(path: Path, version: int) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(SCHEMA_2)
        if version == 3:
            for column in ("posts", "room_bytes"):
                db.execute(f"ALTER TABLE store ADD COLUMN {column} INTEGER NOT NULL DEFAULT 0")
            db.execute("UPDATE store SET posts = 9, room_bytes = 700")
        db.execute(f"PRAGMA user_version = {version}")
    record = Record(on_disk(path))
    assert found(record) == ["lobby"]
    record.turn(set_topic("dust", room="attic"))
    assert found(record) == ["attic", "lobby"]
    record.close()


def test_a_damaged_topic_hides_no_other_room(path: Path) -> None:
    record = Record(on_disk(path))
    record.turn(set_topic("dust", room="attic"), set_topic("wine", room="cellar"))
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE rooms SET topic = CAST(x'64ff' AS TEXT) WHERE name = 'attic'")
    assert [room.topic for room in record.timeline.with_topic("", "", 5)] == ["d\ufffd", "wine"]
    record.close()


def test_a_database_that_cannot_be_read_is_a_refusal(path: Path) -> None:
    record = Record(on_disk(path))
    assert isinstance(record.timeline, SqliteTimeline)
    record.timeline._reader._db.set_authorizer(lambda *_: sqlite3.SQLITE_DENY)
    with pytest.raises(Refused) as refused:
        record.timeline.with_topic("", "", 5)
    assert refused.value.code == "storage"
    record.close()


def test_a_page_among_100_000_rooms_costs_what_it_returns(tmp_path: Path) -> None:
    """With a topic or without, listed or not: those of other names are not looked at."""
    costs = []
    for rooms in (100, MANY):
        path = tmp_path / f"{rooms}.db"
        record = Record(on_disk(path))
        record.turn(*(set_topic("t", room=f"tea-{number:02}") for number in range(50)))
        record.close()
        with closing(sqlite3.connect(path)) as db, db:
            kinds = "listed", ".unlisted", "bare", "zlisted"
            db.executemany(
                "INSERT INTO rooms (name, topic) VALUES (?, ?)",
                (
                    (f"{kinds[number % 4]}-{number}", "" if number % 4 == 2 else "t")
                    for number in range(rooms)
                ),
            )
            db.execute("UPDATE store SET posts = 9, room_bytes = 700")
        record.reopen()
        assert isinstance(record.timeline, SqliteTimeline)
        with counted(record.timeline._reader._db) as operations:
            for _ in range(10):
                assert len(found(record, "tea-", limit=100)) == 50
                assert len(found(record, "", limit=50)) == 50
                assert len(found(record, "", after="tea-30", limit=20)) == 20
                assert found(record, ".") == found(record, "bare") == []
        costs.append(operations[0])
        record.close()
    assert 0 < costs[1] <= 1.1 * costs[0]
