"""When the disk does not answer at all: whoever waits is told that it is storage, and not slow."""

import json

import pytest

from geventchat.server.session import session as session_module
from tests.conversations.chat import Chat, chatting
from tests.conversations.peers import encode


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the time that clients wait for storage."""
    monkeypatch.setattr(session_module, "_SETTLE_SECONDS", 0.05)


def lose_submissions(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make submissions get no verdict from now on."""
    monkeypatch.setattr(chat.server._timeline, "append", lambda submission: None)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("says", [1, 64])
def test_a_client_whose_messages_are_not_stored_in_time_is_told_so(
    monkeypatch: pytest.MonkeyPatch, says: int
) -> None:
    """With 64 on the way it is not read any more, with fewer it waits when it leaves."""
    with chatting() as chat:
        ann = chat.rich("Ann")
        lose_submissions(chat, monkeypatch)
        say = {"type": "say", "room": "lobby", "text": "hi"}
        ann.send(encode(say) * says + encode({"type": "leave", "room": "lobby"}))
        (bye,) = ann.closing()
        assert (bye["code"], bye["reconnect"]) == ("storage", True)
        assert "not known whether your last messages were stored" in bye["text"]
        closes = chat.server._hub.closes
        assert (closes["storage"], closes["slow"]) == (1, 0)


@pytest.mark.usefixtures("impatient")
def test_a_client_whose_topic_is_not_stored_in_time_is_ended_at_its_next_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with chatting() as chat:
        ann = chat.rich("Ann")
        lose_submissions(chat, monkeypatch)
        ann.tell("topic", room="lobby", topic="tea")
        ann.tell("ping")
        assert json.loads(ann.rest()[-1])["code"] == "storage"
