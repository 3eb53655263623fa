"""One client's many requests do not keep the others waiting."""

from typing import Any

import pytest

from geventchat.protocol import requests
from geventchat.server.session import handlers as answers
from geventchat.server.session import session
from geventchat.server.session.session import Session
from tests.conversations.conftest import Address
from tests.conversations.peers import Rich


def test_who_asks_little_is_answered_before_who_asks_much_is_done(
    address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered: list[str] = []
    table: dict[Any, Any] = answers._TABLE
    ping = table[requests.Ping]

    def noted(session: Session, request: requests.Ping) -> None:
        answered.append(session.nick)
        ping(session, request)

    with Rich(address, "ann") as ann, Rich(address, "bob") as bob:
        monkeypatch.setitem(table, requests.Ping, noted)
        monkeypatch.setattr(session, "SLICE_SECONDS", 0)  # every request is a slice
        ann.send(b'{"type":"ping"}\0' * 2_000)
        bob.pong()
        bob.pong()
        assert len(answered) < 2_002
        ann.pong()
        assert answered.count("ann") == 2_001
