"""Changes of posts, where the two timelines differ: failures, migrations, and slow reads."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import gevent
import pytest

from geventchat.protocol.events import Edited, Redacted
from geventchat.server.timeline import PAGE_BYTES
from geventchat.server.timeline.changes import MOST_MISSED
from geventchat.server.timeline.memory import MemoryTimeline
from geventchat.server.timeline.sqlite import SqliteTimeline
from tests.server.record import Open, Record, edit, in_memory, on_disk, redact, say, verdicts
from tests.server.timeline.conftest import other_program
from tests.server.timeline.test_migrations import SCHEMA_2


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


@pytest.fixture
def record(path: Path) -> Iterator[Record]:
    record = Record(on_disk(path))
    yield record
    record.close()


def texts(record: Record) -> list[str]:
    return [post.text for post in record.everything()]


# Authors


def test_with_an_account_the_account_is_the_author(opening: Open) -> None:
    record = Record(opening)
    mine = say("one")
    mine.account = "a"
    assert record.turn(mine).entries[0][0].account == "a"  # type: ignore[union-attr]
    assert verdicts(record.turn(edit(1, "x"))).refused == [(1, "forbidden")]
    assert verdicts(record.turn(edit(1, "x", account="b"))).refused == [(1, "forbidden")]
    other = edit(1, "two", client=b"another", account="a")
    (change,) = verdicts(record.turn(other)).changes
    assert change == Edited(room="lobby", position=1, change=1, text="two", by="anna", account="a")
    assert record.timeline.changes("lobby", 0, 1)[0] == [change]
    (post,) = record.everything()
    assert (post.account, post.hook) == ("a", False)
    record.close()


def test_what_a_guest_said_stays_the_clients_after_signing_in(opening: Open) -> None:
    record = Record(opening)
    record.turn(say("one"))
    assert verdicts(record.turn(edit(1, "two", account="a"))).changes
    record.close()


def test_posts_of_webhooks_and_plain_clients_are_redacted_by_others_only(opening: Open) -> None:
    record = Record(opening)
    hook, plain = say("one"), say("two", client=b"")
    hook.hook = True
    assert record.turn(hook, plain).entries[0][0].hook  # type: ignore[union-attr]
    refused = verdicts(record.turn(edit(1, "x"), edit(2, "x", client=b""), redact(1))).refused
    assert refused == [(1, "forbidden"), (2, "forbidden"), (1, "forbidden")]
    done = verdicts(record.turn(*(redact(each, may_redact_any=True) for each in (1, 2))))
    assert [change.position for change in done.changes] == [1, 2]
    assert record.everything()[0].hook
    record.close()


# Failures


def test_a_change_whose_commit_failed_has_not_happened(record: Record, path: Path) -> None:
    record.turn(say("one"), say("two"))
    record.turn(edit(1, "ONE"))
    with other_program(path) as db:
        db.execute(
            "CREATE TRIGGER poisoned BEFORE INSERT ON posts WHEN new.text = 'poison'"
            " BEGIN SELECT raise(ABORT, 'poisoned'); END"
        )
    batch = record.turn(edit(1, "lost"), redact(2), say("poison"))
    assert len(batch.failed) == 3
    assert texts(record) == ["ONE", "two"]
    assert record.timeline.change("lobby") == 1
    (change,) = verdicts(record.turn(edit(2, "TWO"))).changes
    assert change.change == 2
    assert texts(record) == ["ONE", "TWO"]


def test_a_failed_change_that_reached_the_disk_is_rolled_back(record: Record, path: Path) -> None:
    """A log that was written but not synced may be complete when it is opened again."""
    record.turn(say("one"), say("two"), say("three"))
    record.turn(edit(1, "ONE"))
    before = rows(path)
    assert isinstance(record.timeline, SqliteTimeline)
    db = record.timeline._store.db
    assert db is not None
    db.execute("PRAGMA max_page_count = 1")
    long = "x" * 100_000
    assert len(record.turn(edit(1, "lost"), edit(1, "again"), redact(2), say(long)).failed) == 4
    with other_program(path) as db:  # what the commit would have written
        db.execute("UPDATE posts SET text = 'again', change = 3, sum = 0 WHERE position = 1")
        db.execute("UPDATE posts SET text = '', change = 4, redacted = 1 WHERE position = 2")
    assert verdicts(record.turn(edit(3, "THREE"))).changes[0].change == 2
    assert rows(path)[:2] == before[:2]
    assert texts(record) == ["ONE", "two", "THREE"]


def rows(path: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT * FROM posts ORDER BY position").fetchall()


def test_a_damaged_post_is_not_changed(record: Record, path: Path) -> None:
    record.turn(say("one"))
    with other_program(path) as db:
        db.execute("UPDATE posts SET text = 'One'")
    assert len(record.turn(edit(1, "x"), redact(1)).failed) == 2


# Databases of older versions


def test_posts_of_an_older_database_can_be_changed(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(SCHEMA_2)
        db.execute("ALTER TABLE store ADD COLUMN posts INTEGER NOT NULL DEFAULT 0")
        db.execute("ALTER TABLE store ADD COLUMN room_bytes INTEGER NOT NULL DEFAULT 0")
        db.execute("CREATE INDEX listed ON rooms (name) WHERE topic <> ''")
        db.execute("PRAGMA user_version = 4")
    old = Record(on_disk(path))  # a store that knows the columns has to write the first posts
    old.turn(say("one", "k"), say("two"))
    old.close()
    record = Record(on_disk(path))
    assert record.timeline.change("lobby") == 0
    assert verdicts(record.turn(edit(1, "ONE"), redact(2))).changes[1].change == 2
    record.close()
    record.reopen()
    assert texts(record) == ["ONE", ""]
    assert verdicts(record.turn(say("another", "k"))).repeated == [("another", 1)]
    record.close()


def test_a_copy_that_only_lacks_a_change_is_an_older_one(path: Path, tmp_path: Path) -> None:
    """Or the number of that change would be used again, for another text."""
    record = Record(on_disk(path))
    record.turn(say("one"))
    epoch = record.timeline.epoch
    record.close()
    copy = path.read_bytes()
    record.reopen()
    record.turn(edit(1, "ONE"))
    record.close()
    path.write_bytes(copy)
    record.reopen()
    assert record.timeline.epoch != epoch
    record.close()


# Reads


def slowly(monkeypatch: pytest.MonkeyPatch, record: Record, name: str) -> Callable[[], None]:
    """Make a read take until the returned function is called; it has its page before."""
    assert isinstance(record.timeline, SqliteTimeline)
    reader = record.timeline._reader
    real = getattr(reader, name)
    state = {"read": False, "go": False}

    def read(*arguments: object) -> object:
        page = real(*arguments)
        state["read"] = True
        end = time.monotonic() + 20
        while not state["go"] and time.monotonic() < end:
            time.sleep(0.001)  # in a native thread
        return page

    def go() -> None:
        state["go"] = True

    monkeypatch.setattr(reader, name, read)
    state["wait"] = lambda: state["read"]  # type: ignore[assignment]
    go.state = state  # type: ignore[attr-defined]
    return go


def wait_until_read(go: Callable[[], None]) -> None:
    with gevent.Timeout(20):
        while not go.state["read"]:  # type: ignore[attr-defined]
            gevent.sleep(0.001)


@pytest.mark.parametrize("name", ["since", "before"])
def test_what_is_redacted_while_it_is_read_is_not_passed_on(
    record: Record, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    record.turn(say("secret"), say("helo"), say("three"))
    go = slowly(monkeypatch, record, name)
    arguments = ("lobby", 0, 3) if name == "since" else ("lobby", 4, 3)
    reading = gevent.spawn(lambda: getattr(record.timeline, name)(*arguments))
    wait_until_read(go)
    record.turn(redact(1), edit(2, "hello"))
    go()
    page = reading.get()
    assert [(post.text, post.redacted, post.change) for post in page] == [
        ("", True, 1),
        ("hello", False, 2),
        ("three", False, 0),
    ]


def test_a_change_that_is_superseded_while_it_is_read_is_left_to_the_next_page(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    record.turn(say("one"), say("two"))
    record.turn(edit(1, "secret"), edit(2, "TWO"))
    go = slowly(monkeypatch, record, "changes")
    reading = gevent.spawn(record.timeline.changes, "lobby", 0, 2)
    wait_until_read(go)
    record.turn(redact(1))
    go()
    page, upto = reading.get()
    assert ([change.position for change in page], upto) == ([2], 2)
    monkeypatch.undo()
    assert record.timeline.changes("lobby", upto, 2) == (
        [Redacted(room="lobby", position=1, change=3, by="anna")],
        3,
    )


def test_a_change_that_is_read_before_its_batch_is_through_is_told(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was taken for one that superseded itself, and reached nobody who resumed just then."""
    record.turn(say("one"), say("two"))
    batch = record.turn(edit(1, "ONE"), edit(2, "TWO"))
    timeline = record.timeline
    assert isinstance(timeline, SqliteTimeline)
    go = slowly(monkeypatch, record, "changes")
    reading = gevent.spawn(timeline.changes, "lobby", 0, 2)
    wait_until_read(go)
    timeline._finish_turn(batch, [])  # as if it had come only now
    go()
    page, upto = reading.get()
    assert ([change.position for change in page], upto) == ([1, 2], 2)


def test_a_change_that_is_read_before_an_earlier_one_is_through_is_told(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was dropped, though no higher number came after it."""
    record.turn(say("one"))
    first = record.turn(edit(1, "ONE"))
    record.turn(edit(1, "uno"))
    timeline = record.timeline
    assert isinstance(timeline, SqliteTimeline)
    go = slowly(monkeypatch, record, "changes")
    reading = gevent.spawn(timeline.changes, "lobby", 0, 1)
    wait_until_read(go)
    timeline._finish_turn(first, [])  # as if it had come only now
    go()
    page, upto = reading.get()
    assert ([change.change for change in page], upto) == ([2], 2)


def test_changes_are_read_by_the_page(opening: Open) -> None:
    record = Record(opening)
    record.turn(*(say(f"{number}") for number in range(12)))
    record.turn(*(edit(number, "x" * 60_000) for number in range(1, 13)))
    found, after = [], 0
    while after < 12:
        page, after = record.timeline.changes("lobby", after, 12)
        assert sum(len(each.text) for each in page if isinstance(each, Edited)) <= PAGE_BYTES
        found += page
    assert [each.change for each in found] == list(range(1, 13))
    record.close()


def test_only_changes_of_posts_that_a_client_has_are_counted(opening: Open) -> None:
    record = Record(opening)
    count = MOST_MISSED + 1
    record.turn(*(say("x") for _ in range(count)))
    record.turn(*(edit(number, "y") for number in range(1, count + 1)))
    timeline = record.timeline
    assert timeline.missed("lobby", count, 0) is None
    assert timeline.missed("lobby", count, 1) == 1
    assert timeline.missed("lobby", count - 1, 0) == 0
    assert timeline.missed("lobby", 5, None) == 0
    assert timeline.missed("lobby", count, count) == count
    record.close()


def test_trimming_in_memory_forgets_changes_with_their_posts() -> None:
    record = Record(in_memory(posts_per_room=2))
    record.turn(say("one"), say("two"))
    record.turn(edit(1, "ONE"))
    record.turn(say("three"))
    assert record.timeline.changes("lobby", 0, 9) == ([], 1)
    assert isinstance(record.timeline, MemoryTimeline)
    record.turn(say("x" * 1_000))
    record.turn(redact(4))
    sizes = [each.size for each in record.timeline._rooms.values()]
    assert record.timeline._size == sum(sizes)
    record.close()
