"""Many requests of one client do not delay the others."""

from typing import Any

import pytest

from geventchat.protocol import events, requests
from geventchat.server.session import handlers, session
from geventchat.server.session.sender import Sender
from geventchat.server.session.session import Session
from tests.conversations.chat import Chat
from tests.conversations.conftest import Address
from tests.conversations.devices import registered, sign_in
from tests.conversations.peers import Rich, of


def test_a_client_with_few_requests_is_answered_before_a_client_with_many(
    address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered: list[str] = []
    table: dict[Any, Any] = handlers._TABLE
    ping = table[requests.Ping]

    def observed(session: Session, request: requests.Ping) -> None:
        answered.append(session.nick)
        ping(session, request)

    with Rich(address, "ann") as ann, Rich(address, "bob") as bob:
        monkeypatch.setitem(table, requests.Ping, observed)
        monkeypatch.setattr(session, "SLICE_SECONDS", 0)  # every request is a slice
        ann.send(b'{"type":"ping"}\0' * 2_000)
        bob.pong()
        bob.pong()
        assert len(answered) < 2_002
        ann.pong()
        assert answered.count("ann") == 2_001


@pytest.mark.parametrize("kind", ["error", "left"])
def test_others_are_answered_while_a_hello_with_very_many_rooms_is(
    chat: Chat, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A guest hears of each that it cannot join, an account of each that it is not in."""
    said: list[events.Event] = []
    between: set[int] = set()
    table: dict[Any, Any] = handlers._TABLE
    answer, ping = Sender.answer, table[requests.Ping]

    def noting(sender: Sender, event: events.Event) -> None:
        if isinstance(event, events.Error | events.Left):
            said.append(event)
        answer(sender, event)

    def observed(session: Session, request: requests.Ping) -> None:
        between.add(len(said))
        ping(session, request)

    (ann,), bob = registered(chat, "Ann"), chat.rich("bob")
    monkeypatch.setattr(Sender, "answer", noting)
    monkeypatch.setitem(table, requests.Ping, observed)
    monkeypatch.setattr(session, "SLICE_SECONDS", 0)  # every request is a slice, and every room
    bob.send(b'{"type":"ping"}\0' * 2_000)
    rooms = [f"no room {number}" for number in range(200)]
    many = chat.rich(rooms=rooms) if kind == "error" else sign_in(chat, ann, rooms=rooms)
    assert len(of(kind, many.greeting)) == len(said) == 200
    assert len(between) > 50
