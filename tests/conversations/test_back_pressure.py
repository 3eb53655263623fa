"""Requests with large answers: whoever reads them gets all, whoever does not is slow."""

from typing import Any

import pytest

from geventchat.server.session import sender
from tests.conversations.chat import chatting
from tests.conversations.peers import encode, of
from tests.conversations.test_slow import TEXT, SlowReader, talk

SMALL: dict[str, Any] = {"outbox_bytes": 64 << 10}


@pytest.mark.parametrize("limits", [{}, SMALL])
def test_a_client_that_reads_gets_all_history_that_it_asks_for_at_once(
    limits: dict[str, Any],
) -> None:
    """50 requests of 500 posts in one write are answered in order, whatever the outbox holds."""
    with chatting(**limits) as chat:
        ann, speaker = chat.rich("Ann"), chat.plain()
        speaker.send(b"x\0" * 500)
        ann.hear(lambda event: event.get("position") == 500)
        requests = [
            {"type": "history", "room": "lobby", "limit": 500, "id": str(number)}
            for number in range(50)
        ]
        ann.send(b"".join(map(encode, requests)))
        answers = [ann.event() for _ in requests]
        assert [answer["id"] for answer in answers] == [str(number) for number in range(50)]
        assert {len(answer["posts"]) for answer in answers} == {500}
        assert max(session.outbox.size for session in chat.sessions()) <= 300_000
        assert ann.pong() == []


def test_a_client_that_reads_gets_every_list_of_members_that_it_asks_for_at_once() -> None:
    with chatting(**SMALL) as chat:
        for number in range(60):
            chat.rich(f"{number:0>32}")
        ann = SlowReader(chat)
        ann.hello(chat)
        requests = [{"type": "who", "room": "lobby", "id": str(number)} for number in range(500)]
        ann.send(b"".join(map(encode, requests)))
        members = of("members", ann.events(1 + len(requests)))  # and `joined`
        assert [answer["id"] for answer in members] == [str(number) for number in range(500)]
        assert {answer["count"] for answer in members} == {61}


def test_a_client_that_does_not_read_what_it_asks_for_is_closed_as_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it has asked for and not read is bounded, and so is the wait for it."""
    monkeypatch.setattr(sender, "STALLED_SECONDS", 0.1)
    with chatting(outbox_bytes=1 << 20) as chat:
        talk(chat, 40)
        slow, ann = SlowReader(chat), chat.rich("Ann")
        slow.hello(chat, nick="Slow", rooms={})
        join, history = {"type": "join", "room": "lobby"}, {"type": "history", "room": "lobby"}
        slow.send(encode(join) + encode(history | {"limit": 500}) * 50)
        while "Slow" in {session.nick for session in chat.sessions()}:
            ann.pong()
            assert max(session.outbox.size for session in chat.sessions()) <= 1 << 20
        *answers, bye = slow.rest()
        assert b'"code":"slow"' in bye
        assert len(answers) < 50
        assert TEXT.encode() in answers[-1]
