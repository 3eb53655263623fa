"""Events in a room during a replay reach the new member afterwards."""

from collections.abc import Callable

import pytest

from geventchat.protocol.events import Post
from geventchat.server.timeline.memory import MemoryTimeline
from tests.conversations.conftest import Address
from tests.conversations.peers import Rich, of


def test_changes_during_a_replay_are_sent_after_it(
    address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Rich(address, "ann") as ann:
        read: Callable[..., list[Post]] = MemoryTimeline.before

        def read_and_change(record: MemoryTimeline, room: str, end: int, limit: int) -> list[Post]:
            monkeypatch.setattr(MemoryTimeline, "before", read)
            ann.ask("topic", room="lobby", topic="news")
            return read(record, room, end, limit)

        monkeypatch.setattr(MemoryTimeline, "before", read_and_change)
        with Rich(address, "bob") as bob:
            (topic,) = of("topic", bob.greeting)
            assert (topic["topic"], topic["by"]) == ("news", "ann")
