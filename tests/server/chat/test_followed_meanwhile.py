"""What another node writes while this one decides undoes nothing of what is decided."""

from collections.abc import Callable

import pytest

from geventchat.protocol import requests
from geventchat.server.people.account import Membership
from tests.server.chat.test_followed import agree
from tests.server.two_nodes import Node, two_nodes


@pytest.fixture
def nodes() -> tuple[Node, Node]:
    return two_nodes()


def let_decide(node: Node, meanwhile: Callable[[], None]) -> None:
    """Give a node the right to decide; the other one writes before it can write the next time."""
    node.timeline.nodes.decides = True  # type: ignore[misc]
    node.faster = [meanwhile]


def marked(node: Node, membership: Membership, read: int) -> None:
    """Have a node write how far somebody has read, as it knows the membership."""
    membership.read = read
    node.people.save(membership)


def test_who_leaves_a_room_stays_out_of_it(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    anna = one.account("Anna", "lobby", "tea")
    laptop = other.connect("laptop", anna, "tea")
    there = one.same(anna).memberships["tea"]
    let_decide(other, lambda: marked(one, there, 1))
    other.ask(laptop, requests.Leave(room="tea"))
    assert not other.same(anna).is_in("tea")
    assert "tea" not in laptop.rooms
    agree(nodes)


def test_a_session_that_is_revoked_stays_revoked(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    anna = one.account("Anna")
    laptop = other.connect("laptop", anna)
    phone = one.connect("phone", anna)
    assert phone.login is not None
    there = phone.login

    def use() -> None:
        there.used += 1
        one.people.save(there)

    let_decide(other, use)
    other.ask(laptop, requests.Revoke(session=there.id))
    assert other.people.logins.find(there.digest) is None
    agree(nodes)


def test_a_moderator_stays_one_and_marks_are_merged(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    anna, bert = one.account("Anna"), one.account("Bert")
    laptop = other.connect("laptop", anna)
    other.ask(laptop, requests.Create(room="attic"))
    other.ask(laptop, requests.Invite(room="attic", nick="Bert"))
    phone = other.connect("phone", bert)
    other.ask(phone, requests.Join(room="attic"))
    there = one.same(bert).memberships["attic"]
    let_decide(other, lambda: marked(one, there, 1))
    other.ask(laptop, requests.Moderator(room="attic", nick="Bert", on=True))
    here = other.same(bert).memberships["attic"]
    assert here.moderator
    assert here.read == 1
    agree(nodes)
