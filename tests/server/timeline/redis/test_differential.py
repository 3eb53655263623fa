"""Random histories on real engines and in memory: stored, changed, trimmed, cleaned, and read."""

from collections.abc import Callable
from typing import Final, TypeAlias

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from geventchat.protocol.events import Post
from geventchat.server.timeline.redis.cleaning import Cleaning
from geventchat.server.timeline.redis.reader import Reader
from geventchat.server.timeline.redis.retention import Retention
from geventchat.server.timeline.retention_policy import RetentionPolicy
from tests.engines import KINDS, RunningEngine
from tests.server.record import Record, edit, in_memory, redact, say, set_topic, verdicts
from tests.server.timeline.redis.turns import LIFE, NODE, Turns

KEPT: Final = 6
ROOMS: Final = ("tea", "wine")
Step: TypeAlias = tuple[str, str, int, str, str | None]

STEPS = st.tuples(
    st.sampled_from(["say", "say", "edit", "redact", "topic", "clean"]),
    st.sampled_from(ROOMS),
    st.integers(1, 15),
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from([None, None, "k1", "k2"]),
)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_read_is_what_the_timeline_in_memory_has(
    engines: Callable[[str], RunningEngine], kind: str
) -> None:
    turns = Turns(engines(kind))

    @settings(max_examples=20, phases=[Phase.generate])  # to shrink one takes minutes
    @given(st.lists(STEPS, min_size=60, max_size=90), st.integers(0, 5), st.integers(1, 9))
    def compare(steps: list[Step], unread: int, limit: int) -> None:
        turns.begin()
        record = Record(in_memory(posts_per_room=KEPT))
        try:
            history(turns, record, steps)
            for room in ROOMS:
                assert_equal(Reader(turns.engine), record, room, unread, limit)
        finally:
            record.close()

    try:
        compare()
    finally:
        turns.close()


def history(turns: Turns, record: Record, steps: list[Step]) -> None:
    """Let both have the same history, trimmed and cleaned meanwhile."""
    connection = turns.engine
    retention = Retention(lambda: connection, lambda: (NODE, LIFE))
    retention.policy = RetentionPolicy(posts_per_room=KEPT)
    cleaning = Cleaning(lambda: connection, lambda: (NODE, LIFE))
    for kind, room, position, text, key in steps:
        if kind == "clean":
            cleaning.step()
            continue
        if kind == "say":
            asked = say(text, key, room=room, client=b"\xff" * 32)
        elif kind == "topic":
            asked = set_topic(text if position % 3 else "", room=room)
        elif kind == "edit":
            asked = edit(position, text, room=room, client=b"\xff" * 32)
        else:
            asked = redact(position, room=room, client=b"\xff" * 32)
        assert verdicts(turns.take(asked)) == verdicts(record.turn(asked))
        top, oldest, *_ = Reader(connection).open(room)
        retention.note_written(room, top - oldest + 1)
        while retention.step():
            pass


def assert_equal(reader: Reader, record: Record, room: str, unread: int, limit: int) -> None:
    timeline = record.timeline
    state = reader.open(room)
    assert state[:4] == (
        timeline.position(room),
        timeline.oldest(room),
        timeline.topic(room),
        timeline.change(room),
    )
    assert reader.with_topic("", "", limit) == timeline.with_topic("", "", limit)
    upto = max(state.top - unread, 0)
    for at in range(max(state.oldest - 3, 0), state.top + 2):
        assert timeless(reader.since(room, at, upto)) == timeless(timeline.since(room, at, upto))
        assert timeless(reader.before(room, at, limit)) == timeless(
            timeline.before(room, at, limit)
        )
        places = range(at, at + limit)
        assert timeless(reader.at(room, places)) == timeless(timeline.at(room, places))
        for change in (None, min(at, state.change)):
            after, other = reader.missed(room, at, change), timeline.missed(room, at, change)
            assert after is not None
            assert other is not None
            assert reader.changes(room, after, at) == timeline.changes(room, other, at)
    for after in range(state.change + 1):
        assert reader.changes(room, after, upto) == timeline.changes(room, after, upto)


def timeless(posts: list[Post]) -> list[Post]:
    return [replace(post, time=0) for post in posts]
