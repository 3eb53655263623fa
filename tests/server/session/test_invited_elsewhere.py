"""An invitation that another node has acknowledged counts here, too."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from geventchat.protocol import requests
from geventchat.protocol.errors import Refused
from geventchat.server.session import handlers
from tests.server.two_nodes import two_nodes


def test_who_was_invited_on_another_node_can_join_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = two_nodes()
    anna, bert = one.account("Anna"), one.account("Bert")
    laptop, phone = one.connect("laptop", anna), other.connect("phone", bert)
    one.ask(laptop, requests.Create(room="plans"))
    late: list[partial[None]] = []
    hear = other.hub.other_nodes.hear_records

    @contextmanager
    def deciding(*, adopting: bool = False) -> Iterator[None]:
        while late:
            late.pop(0)()
        yield

    monkeypatch.setattr(
        other.hub.other_nodes, "hear_records", lambda said: late.append(partial(hear, said))
    )
    monkeypatch.setattr(other.timeline.nodes, "deciding", deciding)
    one.ask(laptop, requests.Invite(room="plans", nick="Bert"))
    other.ask(phone, requests.Join(room="plans"))
    assert "plans" in phone.rooms


def test_who_was_not_invited_on_any_node_is_refused() -> None:
    one, other = two_nodes()
    anna, bert = one.account("Anna"), one.account("Bert")
    laptop, phone = one.connect("laptop", anna), other.connect("phone", bert)
    one.ask(laptop, requests.Create(room="plans"))
    with pytest.raises(Refused, match="without an invitation"):
        handlers.answer(phone, requests.Join(room="plans"))
