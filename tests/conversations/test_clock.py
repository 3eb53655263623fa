"""A system clock that is wrong or set affects only the times shown."""

import time

import pytest

from tests.conversations.chat import chatting
from tests.conversations.control import Control

IN_1970, IN_2026 = 5.0, 1_795_000_000.0


def test_a_system_clock_that_jumps_does_not_disturb_clients(
    timeline: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    says = [IN_1970]
    monkeypatch.setattr(time, "time", lambda: says[0])
    with chatting(timeline, clock=True) as chat, Control(chat.address):
        ann, bob = chat.rich_clients("Ann", "Bob")
        for key, says[0] in enumerate((IN_1970, IN_2026, IN_1970)):
            ann.say("lobby", "hello", key=str(key))
            ann.posts(1)
            assert ann.ask("direct", to="Bob", text="hello")["type"] == "sent"
        times = [(post["position"], post["time"]) for post in bob.posts(3)]
        assert times == [(1, 5_000), (2, 1_795_000_000_000), (3, 5_000)]
        page = ann.ask("history", room="lobby", before=3, limit=2)
        assert [post["position"] for post in page["posts"]] == [1, 2]
