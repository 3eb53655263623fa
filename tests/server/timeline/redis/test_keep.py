"""Records in real engines: all or none, nothing late, and no change of another node is lost."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import msgspec
import pytest

from geventchat.server.timeline.redis.engine import Away, Rejected
from geventchat.server.timeline.redis.keeping import KEEP, packed, unpacked
from tests.engines import KINDS, RunningEngine, running
from tests.server.timeline.redis.turns import LIFE, NODE, Turns

Change = tuple[str, str, bytes | None]


@pytest.fixture
def turns(engine: RunningEngine) -> Iterator[Turns]:
    with closing(Turns(engine)) as turns:
        yield turns


def keep(
    turns: Turns, number: int, *changes: Change, node: str = NODE, heard: bytes | None = None
) -> Any:
    """Write records as a node that has heard the feed up to an entry, by default all of it."""
    if heard is None:
        heard = turns.engine.call("XREVRANGE", "{gc}:feed", "+", "-", "COUNT", 1)[0][0]
    turns.engine.call("HSET", "{gc}:life", "node", node)
    return turns.engine.run(KEEP, (), node, LIFE, number, packed(changes), heard)


def stored(turns: Turns, name: str, kind: str = "a") -> Any:
    return turns.engine.call("HGET", "{gc}:records:" + kind, name)


def other(turns: Turns) -> str:
    """Have another node be there, too."""
    turns.engine.call("HSET", "{gc}:leases", "n2", 1 << 50)
    return "n2"


# One node


def test_records_are_written_and_deleted(turns: Turns) -> None:
    keep(turns, 1, ("a", "1", b"\xff\0"), ("a", "2", b""), ("b", "ä", b"x" * 70_000))
    keep(turns, 2, ("a", "2", None), ("a", "3", None), ("b", "ä", b"y"))
    assert turns.engine.call("HGETALL", "{gc}:records:a") == [b"1", b"\xff\0"]
    assert turns.engine.call("HGETALL", "{gc}:records:b") == ["ä".encode(), b"y"]


def test_the_feed_tells_what_was_written(turns: Turns) -> None:
    changes: list[Change] = [
        ("a", "1", b"\xff\0"), ("a", "2", None), ("b", "ä", b"x" * 70_000), ("b", "c", b""),
    ]  # fmt: skip
    written, entry = keep(turns, 1, *changes)
    ((place, fields),) = turns.engine.call("XRANGE", "{gc}:feed", "(3-0", "+")
    assert (written, entry) == (1, place)
    assert fields[0::2] == [b"k", b"n", b"t"]
    assert fields[3::2] == [NODE.encode(), b"1"]
    assert unpacked(fields[1]) == changes


def test_a_copy_that_is_late_changes_no_record_and_is_answered_the_same(turns: Turns) -> None:
    keep(turns, 1, ("a", "1", b"old"))
    answer = keep(turns, 2, ("a", "1", b"new"))
    entries = turns.engine.call("XLEN", "{gc}:feed")
    for number in 1, 2:
        assert keep(turns, number, ("a", "1", b"old"), heard=b"0-0") == answer
    assert stored(turns, "1") == b"new"
    assert turns.engine.call("XLEN", "{gc}:feed") == entries


def test_records_are_all_written_or_none(turns: Turns) -> None:
    keep(turns, 1, ("a", "1", b"old"))
    turns.engine.call("SET", "{gc}:records:b", "poison")
    entries = turns.engine.call("XLEN", "{gc}:feed")
    with pytest.raises(Rejected, match="WRONGTYPE"):
        keep(turns, 2, ("a", "1", b"new"), ("b", "1", b"new"), ("c", "1", b"new"))
    assert stored(turns, "1") == b"old"
    assert turns.engine.call("XLEN", "{gc}:feed") == entries
    assert keep(turns, 2, ("a", "1", b"new"))[0] == 1


def test_records_are_written_in_the_life_of_the_feed_only(turns: Turns) -> None:
    turns.engine.call("DEL", "{gc}:feed")
    with pytest.raises(Rejected, match=r"^FENCED the feed is missing"):
        keep(turns, 1, ("a", "1", b"new"), heard=b"3-0")
    assert stored(turns, "1") is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_engine_keeps_no_record(kind: str) -> None:
    with running(kind) as engine, closing(Turns(engine)) as turns:
        turns.engine.call("CONFIG", "SET", "maxmemory", 1)
        with pytest.raises((Rejected, Away), match=r"^OOM "):
            keep(turns, 1, ("a", "1", None), ("a", "2", b"x"))
        assert turns.engine.call("XLEN", "{gc}:feed") == 1


# Two nodes


def test_a_record_that_another_node_has_written_since_is_not_overwritten(turns: Turns) -> None:
    heard = b"3-0"
    second = other(turns)
    _, entry = keep(turns, 1, ("a", "1", b"theirs"), ("a", "3", None), node=second)
    for changes in ([("a", "1", b"ours")], [("a", "2", b"x"), ("a", "3", b"ours")]):
        assert keep(turns, 1, *changes, heard=heard) == [0, entry]
    assert (stored(turns, "1"), stored(turns, "2")) == (b"theirs", None)
    assert keep(turns, 1, ("a", "1", b"both"), heard=entry)[0] == 1
    assert stored(turns, "1") == b"both"


def test_records_that_no_other_node_has_written_since_are_written_at_once(turns: Turns) -> None:
    """What clients have read changes all the time, on all nodes."""
    keep(turns, 1, ("a", "1", b"theirs"), ("b", "2", b"theirs"), node=other(turns))
    assert keep(turns, 1, ("a", "2", b"ours"), ("b", "1", b"ours"), heard=b"3-0")[0] == 1


def test_what_this_node_has_written_itself_it_need_not_hear_first(turns: Turns) -> None:
    keep(turns, 1, ("a", "1", b"one"))
    assert keep(turns, 2, ("a", "1", b"two"), heard=b"3-0")[0] == 1
    assert stored(turns, "1") == b"two"


def test_who_has_not_heard_more_than_is_remembered_hears_it_first(turns: Turns) -> None:
    second = other(turns)
    keep(turns, 1, ("a", "1", b"theirs"), node=second)
    for number in range(2, 252):
        keep(turns, number, ("a", "2", b"theirs"), node=second)
    assert turns.engine.call("XLEN", "{gc}:kept") == 200
    last = turns.engine.call("XREVRANGE", "{gc}:feed", "+", "-", "COUNT", 1)[0][0]
    assert keep(turns, 1, ("a", "1", b"ours"), heard=b"3-0") == [0, last]
    assert keep(turns, 1, ("a", "1", b"both"), heard=last)[0] == 1


def test_who_was_behind_may_write_under_the_same_number(turns: Turns) -> None:
    _, entry = keep(turns, 1, ("a", "1", b"theirs"), node=other(turns))
    keep(turns, 1, ("a", "1", b"ours"), heard=b"3-0")
    keep(turns, 1, ("a", "1", b"both"), heard=entry)
    assert stored(turns, "1") == b"both"


def test_a_record_is_read_from_the_feed_whatever_is_in_it() -> None:
    with pytest.raises(msgspec.MsgspecError):
        unpacked(b"\x91\x92\xa1a\xa1b")
