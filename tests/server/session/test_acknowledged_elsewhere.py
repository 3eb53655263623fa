"""What another node has acknowledged counts here, too, though this node hears of it later."""

import time
from functools import partial
from typing import Any

import pytest

from geventchat.protocol import requests
from geventchat.protocol.errors import SHUTDOWN, Ending, Refused
from geventchat.protocol.requests import SignIn
from geventchat.server.hook_posts import HookPosts
from geventchat.server.session import accounts, handlers
from geventchat.server.transport.base import Client
from geventchat.server.web.posts import Posting
from tests.server.two_nodes import Node, two_nodes


class Late:
    """Two nodes, of which the second hears of the first only when it has to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.one, self.other = two_nodes()
        self._said: list[partial[None]] = []
        self._hear = self.other.hub.other_nodes.hear_records
        monkeypatch.setattr(self.other.hub.other_nodes, "hear_records", self._wait)
        monkeypatch.setattr(self.other.timeline.nodes, "catch_up", self.catch_up)

    def _wait(self, changes: Any) -> None:
        self._said.append(partial(self._hear, changes))

    def catch_up(self) -> None:
        while self._said:
            self._said.pop(0)()


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> Late:
    return Late(monkeypatch)


def test_who_was_invited_on_another_node_can_join_at_once(late: Late) -> None:
    one, other = late.one, late.other
    anna, bert = one.account("Anna"), one.account("Bert")
    late.catch_up()
    laptop, phone = one.connect("laptop", anna), other.connect("phone", bert)
    one.ask(laptop, requests.Create(room="plans"))
    one.ask(laptop, requests.Invite(room="plans", nick="Bert"))
    other.ask(phone, requests.Join(room="plans"))
    assert "plans" in phone.rooms


def test_who_was_not_invited_on_any_node_is_refused(late: Late) -> None:
    one, other = late.one, late.other
    anna, bert = one.account("Anna"), one.account("Bert")
    late.catch_up()
    laptop, phone = one.connect("laptop", anna), other.connect("phone", bert)
    one.ask(laptop, requests.Create(room="plans"))
    late.catch_up()
    with pytest.raises(Refused, match="without an invitation"):
        handlers.answer(phone, requests.Join(room="plans"))


def registered(node: Node) -> str:
    """Register an account on a node; return the token of its first session."""
    asked = SignIn(nick="Anna", password="a-password", register=True)
    guest = node.session()
    guest.rooms = node.hub.add(guest)
    _, token = accounts.sign_in(guest, asked, b"c" * 16)
    assert token is not None
    return token


@pytest.mark.parametrize("way", ["session", "password"])
def test_who_has_just_registered_on_another_node_can_sign_in(late: Late, way: str) -> None:
    token = registered(late.one)
    asked = SignIn(session=token)
    if way == "password":
        asked = SignIn(nick="Anna", password="a-password")
    login, _ = accounts.sign_in(late.other.session(), asked, b"c" * 16)
    assert login.account.nick == "Anna"


def test_a_session_that_no_node_knows_is_refused(late: Late) -> None:
    with pytest.raises(Ending, match="account") as ended:
        accounts.sign_in(late.other.session(), SignIn(session="unknown"), b"c" * 16)
    assert not ended.value.reason.reconnect


def test_nobody_is_signed_out_because_the_store_is_away(
    late: Late, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise Refused("storage", "The server could not read or write its database.")

    token = registered(late.one)
    monkeypatch.setattr(late.other.timeline.nodes, "catch_up", away)
    with pytest.raises(Ending) as ended:
        accounts.sign_in(late.other.session(), SignIn(session=token), b"c" * 16)
    assert ended.value.reason.code == SHUTDOWN.code
    assert late.other.people.sign_ins["refused"] == 1


def test_a_webhook_that_was_just_made_on_another_node_is_known(late: Late) -> None:
    people, now = late.one.people, int(time.time() * 1000)
    hook, token = people.hooks.make("tea", "Olga", now, private=False)
    people.save(hook)
    posts = HookPosts(late.other.hub)
    posts.policy = late.other.policy
    client = Client("192.0.2.1", 1)
    assert posts.post(Posting("another", "hello"), client).status == 404
    forbidden = Posting(token, "hello", author="a b")
    assert posts.post(forbidden, client).status == 400
