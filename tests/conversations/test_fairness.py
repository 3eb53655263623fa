"""Many requests of one client do not delay the others."""

from typing import Any

import pytest

from geventchat.protocol import requests
from geventchat.server.session import handlers, session
from geventchat.server.session.session import Session
from tests.conversations.conftest import Address
from tests.conversations.peers import Rich


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
