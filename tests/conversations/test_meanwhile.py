"""What a room is told while a newcomer still reads is not lost on it."""

from collections.abc import Callable

import pytest

from geventchat.protocol.events import Post
from geventchat.server.timeline.memory import MemoryTimeline
from tests.conversations.conftest import Address
from tests.conversations.peers import Rich, of


def test_a_newcomer_hears_what_changed_during_its_replay(
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
