"""A store that was imported is like one that a server filled."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from geventchat.server.timeline.history import History
from geventchat.server.timeline.redis import keys
from geventchat.server.timeline.redis.fitness import RIGHTS
from geventchat.server.timeline.redis.history import RedisHistory
from geventchat.server.timeline.retention_policy import RetentionPolicy
from geventchat.server.timeline.sqlite.history import SqliteHistory
from tests.engines import RunningEngine
from tests.server.record import Record, edit, in_file, on_engine, redact, say, set_topic, verdicts

CHANGES = [edit(1, "uno"), redact(2, may_redact_any=True), edit(3, "once"), edit(3, "twice")]
SECRET = "a text that was taken back"


def fill(record: Record) -> None:
    """Store what has all kinds of changes, in a room of which the oldest posts are changed."""
    record.turn(say("one", "k1"), say(SECRET, "k2"), say("three"), say("four", "k4"))
    record.turn(*CHANGES, set_topic("tea"), say("hi", room=".hidden"), set_topic("", room="quiet"))
    record.timeline.keep([("account", "a1", b"\xff\0"), ("account", "b", b"2"), ("hook", "h", b"")])
    record.timeline.keep([("account", "b", None)])


def lines_of(history: History) -> list[bytes]:
    with history.reading() as stored:
        return [line + b"\n" for line in stored.export_lines()]


def without_times(lines: list[bytes]) -> list[Any]:
    found = [json.loads(line) for line in lines]
    for line in found:
        line.get("post", {}).pop("time", None)
    return found


def test_an_export_of_what_a_server_stored_is_that_of_a_file_with_the_same(
    engine: RunningEngine, tmp_path: Path
) -> None:
    for opened in on_engine(engine.url), in_file(tmp_path / "chat.db"):
        with closing(Record(opened)) as record:
            fill(record)
    stored = lines_of(RedisHistory(engine.url))
    in_a_file = lines_of(SqliteHistory(str(tmp_path / "chat.db")))
    assert without_times(stored) == without_times(in_a_file)
    assert SECRET.encode() not in b"".join(stored)


@pytest.fixture
def imported(engine: RunningEngine, tmp_path: Path) -> Iterator[Record]:
    """Return a timeline on an engine that was filled by an import."""
    with closing(Record(in_file(tmp_path / "chat.db"))) as record:
        fill(record)
    RedisHistory(engine.url).import_lines(lines_of(SqliteHistory(str(tmp_path / "chat.db"))))
    with closing(Record(on_engine(engine.url))) as record:
        yield record


def test_imported_posts_can_be_changed_repeated_and_followed_by_others(imported: Record) -> None:
    batch = verdicts(imported.turn(say("one", "k1"), say("other", "k4"), say("four", "k4")))
    assert batch.repeated == [("one", 1), ("four", 4)]  # nothing is known of a text that changed
    assert batch.conflicts == ["other"]
    batch = verdicts(imported.turn(edit(1, "eins"), redact(4), edit(2, "x", may_redact_any=True)))
    assert [change.change for change in batch.changes] == [5, 6]
    assert batch.refused == [(2, "forbidden")]
    assert verdicts(imported.turn(say("five"))).posts == [("lobby", 5, "five")]
    texts = [post.text for post in imported.everything()]
    assert texts == ["eins", "", "twice", "", "five"]
    times = [post.time for post in imported.everything()]
    assert times == sorted(times)


def test_the_changes_and_the_topic_of_imported_rooms_are_there(imported: Record) -> None:
    changes, upto = imported.timeline.changes("lobby", 0, 4)
    assert [(change.position, change.change) for change in changes] == [(1, 1), (2, 2), (3, 4)]
    assert upto == imported.timeline.change("lobby") == 4
    assert imported.timeline.missed("lobby", 4, 2) == 2
    assert imported.timeline.topic("lobby") == "tea"
    assert [room.name for room in imported.timeline.with_topic("", "", 9)] == ["lobby"]
    assert imported.timeline.records("account") == [("a1", b"\xff\0")]


def test_nothing_is_left_of_imported_posts_that_are_trimmed(
    engine: RunningEngine, imported: Record
) -> None:
    imported.close()
    history = RedisHistory(engine.url)
    with history.exclusive() as stored:
        assert stored.trim(RetentionPolicy(posts_per_room=1)) == 3
    assert engine.call("HKEYS", keys.keys("lobby")) == [b"c1k4"]
    assert not engine.call("EXISTS", keys.changed("lobby"), keys.order("lobby"))
    with history.reading() as stored:
        assert list(stored.damage()) == []


def test_an_import_takes_no_more_rights_than_a_server(
    engines: Callable[[str], RunningEngine], tmp_path: Path
) -> None:
    with closing(Record(in_file(tmp_path / "chat.db"))) as record:
        fill(record)
    lines = lines_of(SqliteHistory(str(tmp_path / "chat.db")))
    engine = engines("redis")
    engine.call("ACL", "SETUSER", "chat", "on", ">secret", *RIGHTS.split())
    try:
        history = RedisHistory(engine.url.replace("://", "://chat:secret@"))
        history.import_lines(lines)
        assert lines_of(history) == lines
        with history.exclusive() as stored:
            stored.renew()
            assert stored.trim(RetentionPolicy(days=1)) == 0
    finally:
        engine.call("ACL", "DELUSER", "chat")


def test_an_export_beside_a_server_has_all_that_was_there_and_can_be_imported(
    engine: RunningEngine, tmp_path: Path
) -> None:
    """Posts and changes that come meanwhile may be in it; a text that was taken back never is."""
    lines = []
    with closing(Record(on_engine(engine.url))) as record:
        for room in "lobby", "tea":
            record.fill([f"text {place} of {room}" for place in range(1, 501)], room=room)
        with RedisHistory(engine.url).reading() as stored:
            for number, line in enumerate(stored.export_lines()):
                lines.append(line + b"\n")
                if number == 100:  # in the first room, of which a page was read
                    record.turn(say("new"), redact(450), edit(2, "new"), say("new", room="tea"))
                    record.turn(redact(499, room="tea"), say("new", room="new"))
    imported = SqliteHistory(str(tmp_path / "chat.db"))
    imported.import_lines(lines)
    with closing(Record(in_file(tmp_path / "chat.db"))) as record:
        for room in "lobby", "tea":
            posts = record.everything(room)
            assert [post.position for post in posts[:500]] == list(range(1, 501))
            assert {post.text for post in posts} >= {f"text {place} of {room}" for place in (1, 9)}
    assert b"text 450 of lobby" not in b"".join(lines)
    assert b"text 499 of tea" not in b"".join(lines)
