"""An export of one timeline is the same after it was imported into the other."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geventchat.config import BadSetting
from geventchat.server.timeline.history import History
from geventchat.server.timeline.lines import ImportFailed, RoomLine, StoredPost
from geventchat.server.timeline.redis import export, keys
from geventchat.server.timeline.redis.history import RedisHistory
from tests.engines import RunningEngine, running
from tests.server.timeline.redis.bridge import (
    HISTORY,
    KEPT,
    MANY,
    ROOM,
    connected,
    interrupted,
    lines_of,
    rooms,
    stored_keys,
    through_engine,
    through_sqlite,
)


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


# What is damaged, or not there


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
    assert str(why).startswith(f"--timeline {url}: No such file or directory; start Redis")
    assert why.temporary


def test_a_store_of_another_program_or_version_is_named(engine: RunningEngine) -> None:
    engine.call("HSET", keys.LIFE, "format", 99)
    assert "of another version of geventchat" in refusal(RedisHistory(engine.url)).reason


def test_a_wrong_password_is_named_as_one(engine: RunningEngine) -> None:
    url = engine.url.replace("://", "://nobody:secret@")
    why = refusal(RedisHistory(url))
    assert why.reason == "wrong user or password"
    assert "secret" not in str(why)


def test_a_history_can_be_exported_when_the_memory_is_full() -> None:
    with running("redis") as engine:
        RedisHistory(engine.url).import_lines(MANY)
        engine.call("CONFIG", "SET", "maxmemory", "1mb")
        with RedisHistory(engine.url).reading() as stored:
            assert sum(1 for _ in stored.export_lines()) == len(MANY)
