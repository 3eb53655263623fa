"""What happens to the rooms of accounts on one node happens to them on the other."""

from typing import Any

import pytest

from geventchat.config import Limits
from geventchat.protocol import events, requests
from geventchat.protocol.errors import Refused
from geventchat.server.chat.room import Member
from geventchat.server.people.account import Account
from geventchat.server.session.session import Session
from tests.server.chat.test_followed import agree
from tests.server.switches import let_run
from tests.server.two_nodes import Node, seen, two_nodes


@pytest.fixture
def nodes() -> tuple[Node, Node]:
    return two_nodes()


def test_a_room_is_joined_and_left_on_both_nodes(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    anna = one.account("Anna")
    laptop, phone = one.connect("laptop", anna), other.connect("phone", anna)
    one.ask(laptop, requests.Join(room="tea"))
    assert "tea" in phone.rooms
    seen(phone)
    one.ask(laptop, requests.Leave(room="tea"))
    assert seen(phone) == [events.Left(room="tea", reason="elsewhere")]
    assert not other.same(anna).is_in("tea")
    agree(nodes)


def private(nodes: tuple[Node, Node]) -> tuple[Node, Node]:
    """Have Anna make a private room on one node, and Bert join it on the other."""
    one, other = nodes
    anna, bert = one.account("Anna"), one.account("Bert")
    one.ask(one.connect("anna", anna), requests.Create(room="plans"))
    laptop = session(one, "Anna")
    phone = other.connect("bert", bert)
    one.ask(laptop, requests.Invite(room="plans", nick="Bert"))
    invited = events.Invited(room="plans", nick="Bert", account=bert.id, by="Anna")
    assert invited in seen(phone)
    other.ask(phone, requests.Join(room="plans"))
    assert one.same(bert).is_in("plans")
    seen(phone)
    return nodes


def test_an_invitation_reaches_the_other_node_and_is_taken_there(
    nodes: tuple[Node, Node],
) -> None:
    private(nodes)
    agree(nodes)


def test_private_rooms_of_two_nodes_have_different_numbers(nodes: tuple[Node, Node]) -> None:
    one, other = private(nodes)
    other.ask(session(other, "Bert"), requests.Create(room="more"))
    assert [one.people.number(room) for room in ("plans", "more")] == [1, 2]


def sessions(nodes: tuple[Node, Node]) -> tuple[Session, Session]:
    """Return the connections of Anna and Bert."""
    return session(nodes[0], "Anna"), session(nodes[1], "Bert")


def account(node: Node, nick: str) -> Account:
    found = node.hub.owners.find_account(nick)
    assert found is not None
    return found


def session(node: Node, nick: str) -> Session:
    (found,) = (each for each in node.hub.sessions if each.nick == nick)
    assert isinstance(found, Session)
    return found


def test_whoever_is_removed_from_a_private_room_hears_that_it_was_removed(
    nodes: tuple[Node, Node],
) -> None:
    one, _ = private(nodes)
    laptop, phone = sessions(nodes)
    one.ask(laptop, requests.Remove(room="plans", nick="Bert"))
    assert seen(phone) == [events.Left(room="plans", reason="removed")]
    assert "plans" not in phone.rooms
    agree(nodes)


def test_why_a_membership_ended_is_kept_only_until_the_other_node_has_heard_it(
    nodes: tuple[Node, Node],
) -> None:
    one, _ = private(nodes)
    laptop, _ = sessions(nodes)
    one.ask(laptop, requests.Remove(room="plans", nick="Bert"))
    record = "membership", f"{account(one, 'Bert').id}/plans"
    assert one.written[-2:] == [record, record]
    assert record not in one.store


def test_a_node_that_ends_in_between_leaves_no_reason_behind_for_ever(
    nodes: tuple[Node, Node],
) -> None:
    one, _ = private(nodes)
    bert = account(one, "Bert")
    ended = bert.memberships["plans"]
    one.hub.account_rooms.depart(ended, "removed")
    one.people.records.save(ended)
    assert ended.record in one.store
    one.hub.use(one.timeline)
    assert "plans" not in one.same(bert).memberships
    one.people.catch_up()
    let_run()
    assert ended.record not in one.store


def test_who_moderates_a_private_room_is_told_on_both_nodes(nodes: tuple[Node, Node]) -> None:
    one, _ = private(nodes)
    laptop, phone = sessions(nodes)
    one.ask(laptop, requests.Moderator(room="plans", nick="Bert", on=True))
    (told,) = seen(phone)
    assert isinstance(told, events.Moderators)
    assert [each.nick for each in told.moderators] == ["Anna", "Bert"]
    agree(nodes)


def test_the_member_who_joined_first_moderates_when_the_last_moderator_has_left(
    nodes: tuple[Node, Node],
) -> None:
    one, _ = private(nodes)
    laptop, phone = sessions(nodes)
    one.ask(laptop, requests.Leave(room="plans"))
    told = [each for each in seen(phone) if isinstance(each, events.Moderators)]
    assert [[each.nick for each in event.moderators] for event in told] == [["Bert"]]
    agree(nodes)


def test_a_mute_in_a_private_room_is_told_with_who_made_it(nodes: tuple[Node, Node]) -> None:
    one, _ = private(nodes)
    laptop, phone = sessions(nodes)
    one.ask(laptop, requests.Mute(room="plans", nick="Bert", on=True))
    muted = events.Muted(room="plans", nick="Bert", by="Anna", on=True)
    assert seen(phone) == [muted]
    agree(nodes)


def test_nobody_stays_in_a_room_that_becomes_private_on_another_node(
    nodes: tuple[Node, Node],
) -> None:
    one, other = nodes
    anna = one.account("Anna")
    guest = other.connect("guest", None, "plans")
    one.ask(one.connect("anna", anna), requests.Create(room="plans"))
    assert events.Left(room="plans", reason="removed") in seen(guest)
    assert "plans" not in other.hub.rooms
    agree(nodes)


def test_a_room_is_known_to_be_private_before_anybody_is_in_it(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    laptop = one.connect("anna", one.account("Anna"))
    heard: list[bool] = []
    join = one.hub.join

    def joined(*arguments: Any, **more: Any) -> Member:
        heard.append("plans" in other.people.private)
        return join(*arguments, **more)

    one.hub.join = joined  # type: ignore[method-assign]
    one.ask(laptop, requests.Create(room="plans"))
    assert heard == [True]


def test_a_private_room_that_cannot_be_joined_is_taken_back_on_both_nodes(
    nodes: tuple[Node, Node],
) -> None:
    one, other = nodes
    laptop = one.connect("anna", one.account("Anna"))
    one.hub.limits = Limits(rooms_per_client=1)
    with pytest.raises(Refused, match="limit"):
        one.ask(laptop, requests.Create(room="plans"))
    let_run()
    assert not other.people.private
    assert not one.people.private
    assert ("private", "plans") not in one.store
    agree(nodes)


# Conversations


def test_a_conversation_is_the_same_on_both_nodes(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    anna, bert = one.account("Anna"), one.account("Bert")
    laptop, phone = one.connect("anna", anna), other.connect("bert", bert)
    one.ask(laptop, requests.Open(with_="Bert"))
    (name,) = [room for room in laptop.rooms if room != "lobby"]
    conversation = other.people.conversations.between(other.same(anna), other.same(bert))
    assert conversation is not None
    assert conversation.name == name
    other.ask(phone, requests.Open(with_="Anna"))
    assert name in phone.rooms
    agree(nodes)


def test_a_conversation_is_closed_on_both_nodes(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    anna = one.account("Anna")
    one.account("Bert")
    laptop, phone = one.connect("laptop", anna), other.connect("phone", anna)
    one.ask(laptop, requests.Open(with_="Bert"))
    (name,) = [room for room in laptop.rooms if room != "lobby"]
    assert name in phone.rooms
    seen(phone)
    one.ask(laptop, requests.Leave(room=name))
    assert seen(phone) == [events.Left(room=name, reason="elsewhere")]
    agree(nodes)
