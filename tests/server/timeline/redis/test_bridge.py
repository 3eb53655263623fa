"""An export of one timeline is the same after it was imported into the other."""

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geventchat.config import BadSetting
from geventchat.server.timeline.history import History
from geventchat.server.timeline.lines import (
    ImportFailed,
    RecordLine,
    RoomLine,
    StoredPost,
    written,
)
from geventchat.server.timeline.redis import export, keys, restore
from geventchat.server.timeline.redis.engine import Engine
from geventchat.server.timeline.redis.history import RedisHistory
from geventchat.server.timeline.sqlite import export as sqlite_export
from geventchat.server.timeline.sqlite import restore as sqlite_restore
from geventchat.server.timeline.sqlite.schema import prepare
from tests.engines import RunningEngine, running

POSITIONS = st.integers(1, 40)
TEXTS = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20)
NAMES = st.sampled_from(["lobby", "tea", "café", ".hidden", "@AbCdEf_h-234", "über", "a"])
CLIENTS = st.one_of(st.just(""), st.binary(min_size=32, max_size=32).map(bytes.hex))


@st.composite
def rooms(draw: st.DrawFn) -> list[tuple[RoomLine, list[StoredPost]]]:
    """Return rooms by name, with dense posts, some of them changed or damaged."""
    found = []
    for name in sorted(draw(st.sets(NAMES)), key=lambda name: name.encode()):
        first, count = draw(POSITIONS), draw(st.integers(0, 12))
        changes = iter(draw(st.permutations(range(1, 30))))
        posts = [draw(posts_at(first + place, changes)) for place in range(count)]
        top = posts[-1].position if posts else draw(st.integers(0, 40))
        change = max((post.change for post in posts), default=0) + draw(st.integers(0, 2))
        found.append((RoomLine(name=name, topic=draw(TEXTS), top=top, change=change), posts))
    return found


@st.composite
def posts_at(draw: st.DrawFn, position: int, changes: Iterator[int]) -> StoredPost:
    optional = st.none() | st.text("abcé", min_size=1, max_size=8)
    changed = draw(st.booleans())
    redacted = changed and draw(st.booleans())
    return StoredPost(
        position=position,
        time=draw(st.integers(0, 1 << 42)),
        author=draw(st.text("abcé 🎈", min_size=1)),
        text="" if redacted else draw(TEXTS),
        client=draw(CLIENTS),
        key=None if draw(st.booleans()) else f"key {position}",
        account=draw(optional),
        hook=draw(st.booleans()),
        change=next(changes) if changed else 0,
        changed_top=draw(POSITIONS) if changed else 0,
        changed_by=draw(st.text("abc", min_size=1)) if changed else None,
        changed_account=draw(optional) if changed else None,
        redacted=redacted,
        damaged=not changed and draw(st.integers(0, 9)) == 0,
    )


KEPT = st.dictionaries(st.tuples(st.text("ab/é@", min_size=1), TEXTS), st.binary(max_size=40))


def lines_of(
    found: list[tuple[RoomLine, list[StoredPost]]], kept: dict[tuple[str, str], bytes]
) -> list[bytes]:
    records = (
        RecordLine(kind=kind, id=identity, value=kept[kind, identity])
        for kind, identity in sorted(kept, key=lambda key: (key[0].encode(), key[1].encode()))
    )
    return [line + b"\n" for line in written(found, records)]


def connected(engine: RunningEngine) -> "closing[Engine]":
    return closing(Engine(engine.where, name=restore.NAME))


def through_sqlite(lines: list[bytes]) -> list[bytes]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        prepare(db)
        sqlite_restore.import_lines(db, lines)
        return [line + b"\n" for line in sqlite_export.export_lines(db)]


def through_engine(engine: RunningEngine, lines: list[bytes]) -> list[bytes]:
    with connected(engine) as connection:
        restore.import_lines(connection, lines, "e" * 22)
        assert list(export.damage(connection)) == []
        return [line + b"\n" for line in export.export_lines(connection)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rooms(), KEPT)
def test_an_export_is_the_same_after_it_was_imported_into_the_other_and_back(
    engine: RunningEngine,
    found: list[tuple[RoomLine, list[StoredPost]]],
    kept: dict[tuple[str, str], bytes],
) -> None:
    exported = through_sqlite(lines_of(found, kept))
    engine.call("FLUSHALL")
    assert through_engine(engine, exported) == exported
    assert through_sqlite(exported) == exported


ROOM = RoomLine(name="lobby", topic="tea", top=2)
POST = StoredPost(position=1, author="anna", text="one", client="c1" * 32, key="k")
HISTORY = [(ROOM, [POST, StoredPost(position=2, author="anna", text="two")])]


def stored_keys(engine: RunningEngine) -> list[bytes]:
    return sorted(engine.call("KEYS", "*"))


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


class Killed(BaseException):
    """The end of a process, as far as its engine can tell."""


def interrupted(engine: RunningEngine, lines: list[bytes]) -> None:
    """Import lines in a process that is killed before the last."""

    def until_killed() -> Iterator[bytes]:
        yield from lines[:-1]
        connection.close()
        raise Killed

    with connected(engine) as connection, pytest.raises(Killed):
        restore.import_lines(connection, until_killed(), "epoch")


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
    with connected(engine) as connection, pytest.raises(restore.Unusable, match="is not empty"):
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


def test_a_missing_and_a_damaged_post_are_exported_as_damaged_and_named(
    engine: RunningEngine,
) -> None:
    posts = [StoredPost(position=place, author="anna", text="x") for place in range(3, 600)]
    through_engine(engine, lines_of([(ROOM, posts)], {}))
    engine.call("XDEL", keys.room("lobby"), "0-5", "0-599")
    engine.call("HSET", keys.changed("lobby"), 300, b"\xc1")
    with connected(engine) as connection:
        assert list(export.damage(connection)) == [
            f"lobby: the post at position {place} is damaged or missing" for place in (5, 300, 599)
        ]
        lines = [json.loads(line) for line in export.export_lines(connection)]
    found = [line["post"] for line in lines if line.get("type") == "post"]
    assert [post["position"] for post in found] == list(range(3, 600))
    assert [post["position"] for post in found if post.get("damaged")] == [5, 300, 599]


def test_posts_of_a_room_that_is_not_in_the_list_of_rooms_are_found(engine: RunningEngine) -> None:
    through_engine(engine, lines_of(HISTORY, {}))
    engine.call("ZREM", keys.ROOMS, "lobby")
    with connected(engine) as connection:
        assert list(export.damage(connection)) == ["posts of lobby are missing"]


def test_posts_that_are_deleted_while_they_are_exported_end_it(engine: RunningEngine) -> None:
    posts = [StoredPost(position=place, author="anna", text="x") for place in range(1, 600)]
    through_engine(engine, lines_of([(ROOM, posts)], {}))
    with connected(engine) as connection:
        lines = export.export_lines(connection)
        assert [next(lines) for _ in range(3)]
        engine.call("HSET", keys.OLDEST, "lobby", 400)
        with pytest.raises(export.Trimmed, match="posts of lobby were deleted"):
            list(lines)


def refusal(history: History) -> BadSetting:
    """Return why a history cannot be read."""
    with pytest.raises(BadSetting) as found, history.reading():
        pass
    return found.value


def test_a_store_without_a_history_is_named(engine: RunningEngine) -> None:
    why = refusal(RedisHistory(engine.url))
    assert str(why) == f"--timeline {engine.url}: is empty; it holds no history"


def test_a_store_whose_import_did_not_end_is_named_with_what_to_do(engine: RunningEngine) -> None:
    interrupted(engine, lines_of(HISTORY, {}))
    why = refusal(RedisHistory(engine.url))
    assert why.reason == "an import into it did not end; run geventchat history import again"


def test_an_engine_that_is_away_may_be_back_later(tmp_path: Path) -> None:
    url = f"unix://{tmp_path}/none.sock"
    why = refusal(RedisHistory(url))
    assert (str(why), why.temporary) == (f"--timeline {url}: No such file or directory", True)


def test_a_store_of_another_program_or_version_is_named(engine: RunningEngine) -> None:
    engine.call("HSET", keys.LIFE, "format", 99)
    assert "of another version of geventchat" in refusal(RedisHistory(engine.url)).reason


def test_a_wrong_password_is_named_as_one(engine: RunningEngine) -> None:
    url = engine.url.replace("://", "://nobody:secret@")
    why = refusal(RedisHistory(url))
    assert why.reason == "wrong user or password"
    assert "secret" not in str(why)


@st.composite
def spoiled(draw: st.DrawFn) -> list[bytes]:
    """Return the lines of an export that something has happened to."""
    lines = lines_of(draw(rooms()), draw(KEPT))
    at = draw(st.integers(0, len(lines) - 1))
    match draw(st.sampled_from(["left out", "twice", "cut off", "changed", "exchanged"])):
        case "left out":
            del lines[at]
        case "twice":
            lines.insert(at, lines[at])
        case "cut off":
            lines[at:] = [lines[at][: draw(st.integers(0, len(lines[at]) - 1))]]
        case "changed":
            place = draw(st.integers(0, len(lines[at]) - 2))
            byte = bytes((draw(st.integers(0, 255)),))
            lines[at] = lines[at][:place] + byte + lines[at][place + 1 :]
        case "exchanged":
            other = draw(st.integers(0, len(lines) - 1))
            lines[at], lines[other] = lines[other], lines[at]
    return lines


def result_of(through: Callable[[list[bytes]], list[bytes]], lines: list[bytes]) -> object:
    """Return the export of an import, or that it failed."""
    try:
        return through(lines)
    except ImportFailed as error:
        named = re.match("line [0-9]+: |lines are missing: |the export is cut off ", str(error))
        return "failed" if named else str(error)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spoiled())
def test_what_happened_to_an_export_is_noticed_by_both_or_does_not_matter_to_both(
    engine: RunningEngine, lines: list[bytes]
) -> None:
    engine.call("FLUSHALL")
    found = result_of(lambda lines: through_engine(engine, lines), lines)
    assert found == result_of(through_sqlite, lines)
    if not isinstance(found, list):
        assert found == "failed"
        assert stored_keys(engine) == []


MANY = lines_of(
    [(ROOM, [StoredPost(position=place, text="x" * 100) for place in range(1, 20_001)])], {}
)


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


def test_a_history_can_be_exported_when_the_memory_is_full() -> None:
    with running("redis") as engine:
        RedisHistory(engine.url).import_lines(MANY)
        engine.call("CONFIG", "SET", "maxmemory", "1mb")
        with RedisHistory(engine.url).reading() as stored:
            assert sum(1 for _ in stored.export_lines()) == len(MANY)
