"""The newest posts of rooms whose names begin alike: what a start has to know of conversations."""

from pathlib import Path

from tests.server.record import Open, Record, on_disk, redact, say, set_topic


def test_rooms_are_found_with_position_and_time_even_if_nothing_is_left(tmp_path: Path) -> None:
    record = Record(on_disk(tmp_path / "chat.db"))
    record.turn(say("one", room="@b"), say("two", room="@b"), say("else", room="attic"))
    record.turn(say("gone", room="@a"), set_topic("dust", room="@c"), say("else", room="ann"))
    timeline = record.timeline
    db = timeline._store._connection()  # type: ignore[attr-defined]
    db.execute("UPDATE rooms SET top = 1 WHERE name = '@a'")
    db.execute("DELETE FROM posts WHERE room = (SELECT id FROM rooms WHERE name = '@a')")
    found = {name: (position, time > 0) for name, position, time in timeline.newest_posts("@")}
    assert found == {"@a": (1, False), "@b": (2, True), "@c": (0, False)}
    record.close()


def test_rooms_are_found_by_the_first_character_of_their_names(kept: Open) -> None:
    record = Record(kept)
    record.turn(say("one", room="@b"), say("two", room="@b"), say("else", room="attic"))
    record.turn(say("one", room="@a"), redact(1, room="@b"), set_topic("dust", room="@c"))
    found = {name: (position, time > 0) for name, position, time in newest(record)}
    assert found == {"@a": (1, True), "@b": (2, True), "@c": (0, False)}
    assert record.timeline.newest_posts("ä") == []
    record.close()


def newest(record: Record) -> list[tuple[str, int, int]]:
    return record.timeline.newest_posts("@")
