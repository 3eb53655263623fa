"""An import into an engine is there as a whole, or not at all."""

import json
from collections import Counter
from collections.abc import Iterator

import pytest

from geventchat.config import BadSetting
from geventchat.server.timeline.lines import ImportFailed, RoomLine, StoredPost, written
from geventchat.server.timeline.redis import export, keys, restore
from geventchat.server.timeline.redis.history import RedisHistory
from tests.engines import RunningEngine, running
from tests.server.timeline.redis.bridge import (
    HISTORY,
    MANY,
    ROOM,
    connected,
    interrupted,
    lines_of,
    stored_keys,
    through_engine,
)


def test_an_import_keeps_the_epoch_that_has_moved_and_begins_another_without_one(
    engine: RunningEngine,
) -> None:
    moved = [line + b"\n" for line in written(HISTORY, (), lambda: "the-epoch")]
    with connected(engine) as connection:
        assert restore.import_lines(connection, moved, "another").epoch == "the-epoch"
    assert engine.call("HGET", keys.LIFE, "epoch") == b"the-epoch"
    engine.call("FLUSHALL")
    with connected(engine) as connection:
        restore.import_lines(connection, lines_of(HISTORY, {}), "another")
    assert engine.call("HGET", keys.LIFE, "epoch") == b"another"


def twice(line: int, many: list[bytes]) -> list[bytes]:
    """Return lines of which one, counted from 1, is there twice; the end has the right counts."""
    again = [*many[:line], many[line - 1], *many[line:-1]]
    kinds = Counter(json.loads(each).get("type") for each in again)
    end = {"type": "end", **{f"{kind}s": kinds[kind] for kind in ("room", "post", "record")}}
    return [*again, json.dumps(end).encode()]


CHANGED = [
    StoredPost(position=place, author="anna", text="new", change=1, changed_by="anna")
    for place in (1, 2)
]
SAME_KEY = [StoredPost(position=place, client="c1" * 32, key="k") for place in (1, 2)]
RECORD = {("account", "a"): b"1"}


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (twice(2, lines_of([(ROOM, [])], {})), "line 3: the room lobby is there twice"),
        (twice(2, lines_of([], RECORD)), "line 3: the record account a is there twice"),
        (lines_of([(ROOM, SAME_KEY)], {}), "line 4: the key k of this client is there twice"),
        (lines_of([(ROOM, CHANGED)], {}), "line 4: the change 1 of lobby is there twice"),
        (lines_of(HISTORY, {})[:-1], "cut off after line 4"),
        ([*lines_of(HISTORY, {})[:3], b"{\n"], "line 4: "),
    ],
)
def test_an_import_that_fails_leaves_nothing_behind(
    engine: RunningEngine, lines: list[bytes], why: str
) -> None:
    engine.call("SET", "of another program", "1")
    with connected(engine) as connection, pytest.raises(ImportFailed, match=why):
        restore.import_lines(connection, lines, "epoch")
    assert stored_keys(engine) == [b"of another program"]


def test_an_import_that_was_interrupted_is_no_history_and_can_be_done_again(
    engine: RunningEngine,
) -> None:
    interrupted(engine, lines_of([(RoomLine(name="tea"), [])], {}))
    assert engine.call("EXISTS", keys.IMPORT)
    assert not engine.call("EXISTS", keys.LIFE)
    lines = lines_of(HISTORY, RECORD)
    assert through_engine(engine, lines) == lines
    assert not engine.call("EXISTS", keys.IMPORT)


def test_an_import_while_another_is_under_way_is_refused_and_does_not_disturb_it(
    engine: RunningEngine,
) -> None:
    lines = lines_of(HISTORY, RECORD)

    def meanwhile() -> Iterator[bytes]:
        yield from lines[:3]
        with connected(engine) as other, pytest.raises(restore.Unusable, match="another import"):
            restore.import_lines(other, lines, "epoch")
        yield from lines[3:]

    with connected(engine) as connection:
        restore.import_lines(connection, meanwhile(), "epoch")
        assert [line + b"\n" for line in export.export_lines(connection)] == lines


def test_an_import_into_a_store_with_a_history_is_refused_and_changes_nothing(
    engine: RunningEngine,
) -> None:
    lines = lines_of(HISTORY, {})
    through_engine(engine, lines)
    before = stored_keys(engine)
    another = "is not empty; import into another database, such as redis://HOST:PORT/1"
    with connected(engine) as connection, pytest.raises(restore.Unusable, match=another):
        restore.import_lines(connection, lines, "epoch")
    assert stored_keys(engine) == before


def test_an_import_takes_some_lines_at_a_time(engine: RunningEngine) -> None:
    """However long it is: what was read is stored before much more is read."""
    posts = [StoredPost(position=place, author="anna", text="x" * 100) for place in range(1, 5_001)]
    lines = lines_of([(ROOM, posts)], {})
    behind = []

    def counted() -> Iterator[bytes]:
        for number, line in enumerate(lines):
            if number % 500 == 0:
                behind.append(number - engine.call("XLEN", keys.room("lobby")))
            yield line

    with connected(engine) as connection:
        restore.import_lines(connection, counted(), "epoch")
    assert max(behind) < 1_100
    assert engine.call("XLEN", keys.room("lobby")) == 5_000


def test_an_import_that_the_engine_has_no_memory_for_leaves_nothing() -> None:
    with running("redis", "--maxmemory", "3mb") as engine:
        with pytest.raises(BadSetting, match="maxmemory"):
            RedisHistory(engine.url).import_lines(MANY)
        assert stored_keys(engine) == []


def test_an_import_whose_engine_is_killed_can_be_done_again() -> None:
    with running("valkey") as engine:

        def until_killed() -> Iterator[bytes]:
            yield from MANY[:10_000]
            engine.restart()
            yield from MANY[10_000:]

        with pytest.raises(BadSetting, match="the engine was restarted meanwhile") as found:
            RedisHistory(engine.url).import_lines(until_killed())
        assert found.value.temporary
        assert not engine.call("EXISTS", keys.LIFE)
        assert RedisHistory(engine.url).import_lines(MANY).posts == 20_000
        assert engine.call("XLEN", keys.room("lobby")) == 20_000


def test_an_import_of_which_something_is_gone_is_no_history(engine: RunningEngine) -> None:
    def until_flushed() -> Iterator[bytes]:
        yield from MANY[:10_000]
        engine.call("FLUSHALL")
        yield from MANY[10_000:]

    with pytest.raises(BadSetting, match="what was imported is not there any more"):
        RedisHistory(engine.url).import_lines(until_flushed())
    assert stored_keys(engine) == []
