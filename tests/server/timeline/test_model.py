"""Any sequence of turns, on each timeline, compared with a model in a dict."""

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from geventchat.protocol.events import Edited, Redacted
from geventchat.server.timeline import Change, Submission
from tests.engines import RunningEngine
from tests.server.record import (
    Open,
    Record,
    Verdicts,
    edit,
    in_file,
    in_memory,
    on_engine,
    redact,
    say,
    verdicts,
)

KEPT = 5
ROOMS = st.sampled_from(["lobby", "other", "third"])
CLIENTS = st.sampled_from([b"c1", b"c2"])
POSITIONS = st.integers(1, 9)
SAYS = st.builds(
    say,
    st.sampled_from(["a", "b"]),
    st.sampled_from([None, "k1", "k2", "k3"]),
    room=ROOMS,
    client=CLIENTS,
)
EDITS = st.builds(edit, POSITIONS, st.sampled_from(["a", "b", "c"]), room=ROOMS, client=CLIENTS)
REDACTIONS = st.builds(
    redact, POSITIONS, room=ROOMS, client=CLIENTS, may_redact_any=st.sampled_from([False, True])
)
SUBMISSIONS = st.one_of(SAYS, SAYS, EDITS, REDACTIONS)


class ModelPost:
    """One post of the model."""

    def __init__(self, said: Submission) -> None:
        self.text = said.text
        self.key = said.key
        self.client = said.client
        self.change = self.changed_top = 0
        self.redacted = False
        self.slot = (said.client, said.key) if said.key is not None else None

    @property
    def state(self) -> tuple[object, ...]:
        return self.text, self.key, self.change, self.redacted


class TimelineModel(RuleBasedStateMachine):
    """A timeline: positions without holes, one post per key, consistent pages, ordered changes."""

    kept: int
    """Limit of posts per room."""

    def __init__(self) -> None:
        super().__init__()
        self.record = Record(self.opening())
        self.rooms: dict[str, dict[int, ModelPost]] = defaultdict(dict)
        self.tops: dict[str, int] = defaultdict(int)
        self.changes: dict[str, int] = defaultdict(int)

    def opening(self) -> Open:
        raise NotImplementedError

    @rule(submitted=st.lists(SUBMISSIONS, min_size=1, max_size=8))
    def turn(self, submitted: list[Submission]) -> None:
        expected = Verdicts()
        for each in submitted:
            if each.kind == "say":
                self.expect(each, expected)
            else:
                self.expect_change(each, expected)
        batch = self.record.turn(*submitted)
        found = verdicts(batch)
        assert found.posts == expected.posts
        assert sorted(found.repeated) == sorted(expected.repeated)
        assert sorted(found.conflicts) == sorted(expected.conflicts)
        assert found.failed == []
        assert found.changes == expected.changes
        assert found.unchanged == expected.unchanged
        assert found.refused == expected.refused

    def expect(self, said: Submission, expected: Verdicts) -> None:
        room = self.rooms[said.room]
        if said.key is not None:
            for position, post in room.items():
                if post.slot == (said.client, said.key):
                    if post.change or post.text == said.text:
                        expected.repeated.append((said.text, position))
                    else:
                        expected.conflicts.append(said.text)
                    return
        self.tops[said.room] += 1
        top = self.tops[said.room]
        room[top] = ModelPost(said)
        room.pop(top - self.kept, None)
        expected.posts.append((said.room, top, said.text))

    def expect_change(self, asked: Submission, expected: Verdicts) -> None:
        position = asked.position
        post = self.rooms[asked.room].get(position)
        if post is None:
            expected.refused.append((position, "no_such_post"))
            return
        own = post.client == asked.client or asked.may_redact_any
        if not own or (asked.kind == "edit" and post.redacted):
            expected.refused.append((position, "forbidden"))
            return
        if post.redacted if asked.kind == "redact" else post.text == asked.text:
            expected.unchanged.append(position)
            return
        self.changes[asked.room] += 1
        post.change, post.changed_top = self.changes[asked.room], self.tops[asked.room]
        post.text, post.redacted = asked.text, asked.kind == "redact"
        expected.changes.append(told(asked.room, position, post))

    @rule(room=ROOMS, after=st.integers(0, 30), upto=st.integers(0, 30))
    def since(self, room: str, after: int, upto: int) -> None:
        posts = self.record.timeline.since(room, after, upto)
        expected = [position for position in self.rooms[room] if after < position <= upto]
        assert [post.position for post in posts] == expected

    @rule(room=ROOMS, end=st.integers(0, 30), limit=st.integers(1, 6))
    def before(self, room: str, end: int, limit: int) -> None:
        posts = self.record.timeline.before(room, end, limit)
        low = max(min(end, self.tops[room] + 1) - limit, 0)
        expected = [position for position in self.rooms[room] if low <= position < end]
        assert [post.position for post in posts] == expected

    @rule(room=ROOMS, after=st.integers(0, 12), position=st.integers(0, 12))
    def changes_since(self, room: str, after: int, position: int) -> None:
        self.record.open(room)
        found, upto = self.record.timeline.changes(room, after, position)
        changed = {
            post.change: told(room, at, post)
            for at, post in self.rooms[room].items()
            if post.change > after and at <= position
        }
        assert found == [changed[number] for number in sorted(changed)]
        assert upto == self.changes[room]

    @rule(room=ROOMS, position=st.integers(0, 12))
    def missed(self, room: str, position: int) -> None:
        """A client without a cursor of changes hears those since its position was the newest."""
        self.record.open(room)
        after = self.record.timeline.missed(room, position, None)
        assert after is not None
        found, _ = self.record.timeline.changes(room, after, position)
        assert {change.position for change in found} == {
            at
            for at, post in self.rooms[room].items()
            if post.change and post.changed_top >= position >= at
        }

    @invariant()
    def the_record_is_the_models(self) -> None:
        for room, kept in self.rooms.items():
            assert self.record.timeline.position(room) == self.tops[room]
            assert self.record.timeline.change(room) == self.changes[room]
            assert self.record.timeline.oldest(room) == min(kept, default=1)
            posts = self.record.everything(room)
            assert {
                post.position: (post.text, post.key, post.change, post.redacted) for post in posts
            } == {position: post.state for position, post in kept.items()}

    def teardown(self) -> None:
        self.record.close()


def told(room: str, position: int, post: ModelPost) -> Change:
    """Return what members hear of the latest change of a post."""
    if post.redacted:
        return Redacted(room=room, position=position, change=post.change, by="anna")
    return Edited(room=room, position=position, change=post.change, text=post.text, by="anna")


class MemoryModel(TimelineModel):
    kept = KEPT

    def opening(self) -> Open:
        return in_memory(posts_per_room=KEPT)


class SqliteModel(TimelineModel):
    kept = 1 << 30
    recent_bytes = 4_000
    """Some reads come from the cache, others from the disk."""

    def opening(self) -> Open:
        self.place = TemporaryDirectory()
        return in_file(Path(self.place.name) / "chat.db", self.recent_bytes)

    @rule()
    def restart(self) -> None:
        self.record.close()
        self.record.reopen()

    def teardown(self) -> None:
        super().teardown()
        self.place.cleanup()


class EngineModel(TimelineModel):
    kept = 1 << 30
    kind: str
    engines: Callable[[str], RunningEngine]
    """Set by a fixture."""
    recent_bytes = 4_000
    """Some reads come from the cache, others from the engine."""

    def opening(self) -> Open:
        return on_engine(type(self).engines(self.kind).url, self.recent_bytes)

    @rule()
    def restart(self) -> None:
        self.record.close()
        self.record.reopen()


class ValkeyModel(EngineModel):
    kind = "valkey"


class RedisModel(EngineModel):
    kind = "redis"


@pytest.fixture(scope="session")
def engines_of_models(engines: Callable[[str], RunningEngine]) -> None:
    EngineModel.engines = staticmethod(engines)


TestMemoryModel = pytest.mark.timeout(600)(MemoryModel.TestCase)  # to shrink what fails takes long
TestMemoryModel.settings = settings(max_examples=80, stateful_step_count=20)
TestSqliteModel = pytest.mark.timeout(600)(SqliteModel.TestCase)  # to shrink what fails takes long
TestSqliteModel.settings = settings(max_examples=40, stateful_step_count=15)
for_engines = pytest.mark.usefixtures("engines_of_models")
TestValkeyModel = for_engines(pytest.mark.timeout(600)(ValkeyModel.TestCase))
TestValkeyModel.settings = settings(max_examples=30, stateful_step_count=15)
TestRedisModel = for_engines(pytest.mark.timeout(600)(RedisModel.TestCase))
TestRedisModel.settings = settings(max_examples=15, stateful_step_count=15)
