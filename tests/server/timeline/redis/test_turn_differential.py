"""Any turns, taken by real engines and by the timeline in memory, become the same batches."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from geventchat.protocol.events import Post
from geventchat.server.timeline import Batch, Submission
from tests.engines import KINDS, RunningEngine
from tests.server.record import Record, edit, in_memory, redact, say, set_topic
from tests.server.timeline.redis.turns import Turns

WHERE = {
    "room": st.sampled_from(["lobby", "tea", ".secret"]),
    "client": st.sampled_from([b"c1", b"\xff\0", b""]),
}
TEXTS = st.sampled_from(["a", "b", "", "ä\0"])
ACCOUNTS = st.sampled_from([None, "a1", "a2"])
KEYS = st.sampled_from([None, None, "k1", "k2"])


def said(text: str, key: str | None, account: str | None, hook: bool, **where: Any) -> Submission:
    submission = say(text, key, **where)
    submission.account, submission.hook = account, hook
    return submission


POSITIONS = st.integers(0, 8)
SUBMISSIONS = st.one_of(
    st.builds(said, TEXTS, KEYS, ACCOUNTS, st.booleans(), **WHERE),
    st.builds(said, TEXTS, KEYS, st.none(), st.just(False), **WHERE),
    st.builds(set_topic, TEXTS, room=WHERE["room"]),
    st.builds(edit, POSITIONS, TEXTS, account=ACCOUNTS, **WHERE),
    st.builds(redact, POSITIONS, account=ACCOUNTS, may_redact_any=st.booleans(), **WHERE),
)


@pytest.mark.parametrize("kind", KINDS)
def test_turns_become_the_batches_of_the_timeline_in_memory(
    engines: Callable[[str], RunningEngine], kind: str
) -> None:
    turns = Turns(engines(kind))

    @settings(max_examples=150)
    @given(st.lists(st.lists(SUBMISSIONS, min_size=1, max_size=10), min_size=1, max_size=6))
    def compare(taken: list[list[Submission]]) -> None:
        turns.begin()
        record = Record(in_memory())
        try:
            for submitted in taken:
                assert timeless(turns.take(*submitted)) == timeless(record.turn(*submitted))
        finally:
            record.close()

    with closing(turns):
        compare()


def timeless(batch: Batch) -> Batch:
    """Return a batch whose posts have no times."""
    batch.entries = [
        (replace(entry, time=0) if isinstance(entry, Post) else entry, number)
        for entry, number in batch.entries
    ]
    return batch
