"""Rooms that nobody is in cost their rows and nothing else: no memory, no time, no posts."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import gevent
import pytest
from gevent.monkey import get_original

from geventchat.server.timeline.retention_policy import RetentionPolicy
from geventchat.server.timeline.sqlite import SqliteTimeline, store
from geventchat.server.timeline.sqlite.retention import StoredRoom
from geventchat.server.timeline.sqlite.schema import UPDATE_TOTALS, connect
from geventchat.server.timeline.sqlite.store import Store
from tests.server.record import Record, on_disk, posts_of, say, set_topic, settle, verdicts
from tests.server.switches import let_run

MANY = 20_000
_STEP_OPERATIONS = 100
"""Operations of SQLite's machine between two calls of what counts them."""


def store_of(record: Record) -> Store:
    assert isinstance(record.timeline, SqliteTimeline)
    settle(record.timeline)
    return record.timeline._store


def add_rooms(path: Path, count: int) -> None:
    """Add that many rooms to a file, with a topic and a post each."""
    with closing(sqlite3.connect(path)) as db, db:
        for number in range(1_000, 1_000 + count):
            db.execute("INSERT INTO rooms VALUES (?, ?, 'tea', 0, 0)", (number, f"r{number}"))
            db.execute(
                "INSERT INTO posts (room, position, time, author, text, client)"
                " VALUES (?, 1, 0, 'a', 'x', x'')",
                (number,),
            )
        db.executescript(UPDATE_TOTALS)


def made(path: Path, rooms: int) -> Path:
    """Return a database of a server with that many more rooms."""
    record = Record(on_disk(path))
    record.turn(say("one"), set_topic("tea", room="attic"))
    record.close()
    add_rooms(path, rooms)
    return path


@contextmanager
def counted(db: sqlite3.Connection | None) -> Iterator[list[int]]:
    """Count what SQLite's machine does: rows that are looked at, not seconds."""
    assert db is not None
    operations = [0]

    def count() -> int:
        operations[0] += _STEP_OPERATIONS
        return 0

    db.set_progress_handler(count, _STEP_OPERATIONS)
    yield operations
    db.set_progress_handler(None, 0)


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list to which all statements of the store's connections are added."""
    traced: list[str] = []

    def connected(path: str) -> sqlite3.Connection:
        db = connect(path)
        db.set_trace_callback(traced.append)
        return db

    monkeypatch.setattr(store, "connect", connected)
    return traced


def test_a_start_takes_the_same_statements_however_many_rooms_there_are(
    tmp_path: Path, statements: list[str]
) -> None:
    """And none of them walks all rooms."""
    taken = []
    for rooms in (1, MANY):
        path = made(tmp_path / f"{rooms}.db", rooms)
        statements.clear()
        record = Record(on_disk(path))
        record.open("r1000")
        taken.append([each for each in statements if "quick_check" not in each])
        record.close()
    assert taken[0] == taken[1]
    walks = [each for each in taken[1] if "FROM rooms" in each and "WHERE" not in each]
    assert walks == []


def test_recovery_from_a_failed_commit_looks_only_at_open_rooms(
    path: Path, statements: list[str]
) -> None:
    record = Record(on_disk(made(path, MANY)))
    record.open("r1000", "r1001")
    timeline_store = store_of(record)
    assert timeline_store.db is not None
    timeline_store.db.execute("PRAGMA max_page_count = 1")
    assert len(record.turn(say("x" * 100_000), say("y", room="r1000")).failed) == 2
    statements.clear()
    assert verdicts(record.turn(say("two"), say("y", room="r1000"))).posts == [
        ("lobby", 2, "two"),
        ("r1000", 2, "y"),
    ]
    assert len(statements) < 40
    assert all("WHERE" in each for each in statements if "FROM rooms" in each)
    record.close()


def test_a_trim_that_finds_nothing_costs_the_same_however_many_rooms_there_are(
    tmp_path: Path,
) -> None:
    costs = []
    for rooms in (100, MANY):
        record = Record(on_disk(made(tmp_path / f"{rooms}.db", rooms)))
        timeline_store = store_of(record)
        timeline_store.retention.policy = RetentionPolicy(posts_per_room=5, total_bytes=1 << 30)
        with counted(timeline_store.db) as operations:
            for _ in range(10):
                assert not timeline_store.trim()
        costs.append(operations[0])
        record.close()
    assert costs[1] <= 1.5 * costs[0]


def test_a_trim_finds_a_room_among_many_that_has_too_much(path: Path) -> None:
    """The walk comes around to it, a few rooms a step."""
    made(path, 500)
    record = Record(on_disk(path))
    record.turn(*(say(str(number), room="r1250") for number in range(9)))
    record.close()
    record.reopen()
    timeline_store = store_of(record)
    timeline_store.retention.policy = RetentionPolicy(posts_per_room=3)
    while not timeline_store.retention.rounds:
        timeline_store.trim()
    assert record.timeline.oldest("r1250") == 8
    assert record.timeline.oldest("lobby") == 1
    record.close()


def test_topics_never_cost_posts(record: Record) -> None:
    """1,500 topics of anybody's made room for themselves by deleting everybody's history."""
    record.fill(["x" * 100] * 500)
    for start in range(0, 3_000, 500):
        topics = [set_topic("t" * 500, room=f"r{n}") for n in range(start, start + 500)]
        assert len(record.turn(*topics).entries) == 500
    timeline_store = store_of(record)
    timeline_store.retention.policy = RetentionPolicy(total_bytes=1 << 20)
    while timeline_store.trim() or not timeline_store.retention.rounds:
        pass
    assert len(record.everything()) == 500
    # The limit holds for posts all the same.
    for _ in range(5):
        record.fill(["y" * 500] * 1_600)
    settle(record.timeline)
    while timeline_store.trim():
        pass
    assert 500 < len(record.everything()) < 500 + 5 * 1_600


def test_what_rooms_and_topics_take_is_counted_and_known_after_a_restart(
    record: Record, path: Path
) -> None:
    record.turn(*(set_topic("t" * number, room=f"r{number}") for number in range(100)), say("x"))
    record.turn(set_topic("", room="r99"), set_topic("zwei 🎈", room="r0"))
    known = store_of(record).room_bytes, store_of(record).posts
    record.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        stored = db.execute("SELECT room_bytes, posts FROM store").fetchone()
        db.executescript(UPDATE_TOTALS)
        assert stored == db.execute("SELECT room_bytes, posts FROM store").fetchone() == known
    record.reopen()
    assert (store_of(record).room_bytes, store_of(record).posts) == known


def test_a_room_is_in_memory_only_while_it_is_open(record: Record) -> None:
    timeline = record.timeline
    for number in range(50):
        room = f"r{number}"
        with timeline.opened(room):
            timeline.append(set_topic("tea", room=room))
            assert len(record.wait().entries) == 1
    assert set(store_of(record).rooms) == {"lobby"}
    assert timeline.topic("r1") == ""  # nobody who reads it has it open
    with timeline.opened("r1"):
        assert timeline.topic("r1") == "tea"
        assert set(store_of(record).rooms) == {"lobby", "r1"}


def test_what_is_stored_after_its_room_was_closed_is_not_lost(record: Record) -> None:
    timeline = record.timeline
    with timeline.opened("attic"):
        timeline.append(say("one", room="attic"))
        timeline.append(set_topic("dust", room="attic"))
    assert len(record.wait().entries) == 2
    assert set(store_of(record).rooms) == {"lobby"}
    with timeline.opened("attic"):
        assert (timeline.position("attic"), timeline.topic("attic")) == (1, "dust")
        timeline.append(say("two", room="attic"))
        assert [post.position for post in posts_of(record.wait())] == [2]


def test_a_turn_of_many_topics_and_says_is_one_transaction(
    path: Path, statements: list[str]
) -> None:
    """Each topic was a commit of its own: 150 kept the others waiting for 150 fsyncs."""
    record = Record(on_disk(path))
    topics = [set_topic(f"tea {number}", room=f"r{number % 50}") for number in range(150)]
    says = [say(str(number), room=f"r{number}") for number in range(50)]
    record.open(*(each.room for each in says))
    statements.clear()
    batch = record.turn(*topics, *says)
    assert len(batch.entries) == 200
    writing = [each for each in statements if each == "COMMIT" or each.startswith("BEGIN")]
    assert writing == ["BEGIN IMMEDIATE", "COMMIT"]
    assert record.timeline.topic("r49") == "tea 149"
    record.close()


@pytest.mark.parametrize("others", [0, 1])
def test_a_room_whose_opener_does_not_wait_for_it_stays_in_memory_only_for_others(
    record: Record, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    """Clients may hang up while the disk is slow; nobody would ever release their rooms."""
    timeline, rooms = record.timeline, store_of(record).rooms
    loaded = get_original("threading", "Event")()
    load = Store._load

    def slow_load(self: Store, db: sqlite3.Connection, name: str) -> StoredRoom:
        loaded.wait(20)
        return load(self, db, name)

    monkeypatch.setattr(Store, "_load", slow_load)
    opener, *more = [gevent.spawn(timeline.open, "attic") for _ in range(1 + others)]
    let_run()
    opener.kill()
    loaded.set()
    gevent.joinall(more, timeout=30, raise_error=True)
    timeline.open("cellar")  # behind it in the same thread
    with gevent.Timeout(20):
        while set(rooms) != {"lobby", "cellar", *["attic"] * others}:
            gevent.sleep(0.001)
