"""Any sequence of turns, on each timeline, compared with a model in a dict."""

from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from geventchat.server.timeline import Submission
from tests.server.record import Open, Record, Verdicts, in_file, in_memory, say, verdicts

KEPT = 5
ROOMS = st.sampled_from(["lobby", "other", "third"])
SAYS = st.builds(
    say,
    st.sampled_from(["a", "b"]),
    st.sampled_from([None, "k1", "k2", "k3"]),
    room=ROOMS,
    client=st.sampled_from([b"c1", b"c2"]),
)


class ModelPost:
    """One post of the model."""

    def __init__(self, said: Submission) -> None:
        self.text = said.text
        self.key = said.key
        self.slot = (said.client, said.key) if said.key is not None else None


class TimelineModel(RuleBasedStateMachine):
    """A timeline: positions without holes, one post per key, consistent pages."""

    kept: int
    """Limit of posts per room."""

    def __init__(self) -> None:
        super().__init__()
        self.record = Record(self.opening())
        self.rooms: dict[str, dict[int, ModelPost]] = defaultdict(dict)
        self.tops: dict[str, int] = defaultdict(int)

    def opening(self) -> Open:
        raise NotImplementedError

    @rule(said=st.lists(SAYS, min_size=1, max_size=8))
    def turn(self, said: list[Submission]) -> None:
        expected = Verdicts()
        for each in said:
            self.expect(each, expected)
        batch = self.record.turn(*said)
        found = verdicts(batch)
        assert found.posts == expected.posts
        assert sorted(found.repeated) == sorted(expected.repeated)
        assert sorted(found.conflicts) == sorted(expected.conflicts)
        assert found.failed == []

    def expect(self, said: Submission, expected: Verdicts) -> None:
        room = self.rooms[said.room]
        if said.key is not None:
            for position, post in room.items():
                if post.slot == (said.client, said.key):
                    if post.text == said.text:
                        expected.repeated.append((said.text, position))
                    else:
                        expected.conflicts.append(said.text)
                    return
        self.tops[said.room] += 1
        top = self.tops[said.room]
        room[top] = ModelPost(said)
        room.pop(top - self.kept, None)
        expected.posts.append((said.room, top, said.text))

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

    @invariant()
    def the_record_is_the_models(self) -> None:
        for room, kept in self.rooms.items():
            assert self.record.timeline.position(room) == self.tops[room]
            assert self.record.timeline.oldest(room) == min(kept, default=1)
            posts = self.record.everything(room)
            assert {post.position: (post.text, post.key) for post in posts} == {
                position: (post.text, post.key) for position, post in kept.items()
            }

    def teardown(self) -> None:
        self.record.close()


class MemoryModel(TimelineModel):
    kept = KEPT

    def opening(self) -> Open:
        return in_memory(posts_per_room=KEPT)


class SqliteModel(TimelineModel):
    kept = 1 << 30

    def opening(self) -> Open:
        self.place = TemporaryDirectory()
        return in_file(Path(self.place.name) / "chat.db")

    @rule()
    def restart(self) -> None:
        self.record.close()
        self.record.reopen()

    def teardown(self) -> None:
        super().teardown()
        self.place.cleanup()


TestMemoryModel = pytest.mark.timeout(120)(MemoryModel.TestCase)  # to shrink what fails takes long
TestMemoryModel.settings = settings(max_examples=60, stateful_step_count=20)
TestSqliteModel = pytest.mark.timeout(120)(SqliteModel.TestCase)  # to shrink what fails takes long
TestSqliteModel.settings = settings(max_examples=30, stateful_step_count=15)
