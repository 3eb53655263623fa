"""Operators reach everybody, on whatever node, and are told which nodes did not answer."""

from collections import Counter
from typing import Any

import gevent
import pytest

from geventchat.protocol import events, requests
from geventchat.protocol.errors import Refused
from geventchat.server.chat import questions
from geventchat.server.session import operator_commands
from geventchat.server.session.reach import connections
from geventchat.server.session.session import Session
from tests.server.hub_harness import account, connect
from tests.server.joined import Joined, Store
from tests.server.links import FakeLink
from tests.server.switches import let_run


class Two:
    """Two nodes: an operator is on the first."""

    def __init__(self) -> None:
        self.store = Store()
        self.one, self.two = Joined(self.store, "one"), Joined(self.store, "two")
        self.olga = connect(self.one, "olga")
        self.olga.operator = True

    def do(self, action: Any, target: str | None = None, **fields: Any) -> events.Admin:
        request = requests.Admin(action=action, target=target, **fields)
        return operator_commands.run(self.olga, request)

    def refused(self, action: Any, target: str, **fields: Any) -> Refused:
        with pytest.raises(Refused) as caught:
            self.do(action, target, **fields)
        return caught.value

    def from_address(self, node: Joined, address: str) -> Session:
        """Connect a guest from an address."""
        link = FakeLink()
        link.address = address
        session = node.session(link)
        session.rooms = node.hub.add(session)
        return session


@pytest.fixture
def nodes() -> Two:
    return Two()


def reason(session: Session) -> str:
    return session.ending.text if session.ending is not None else ""


def test_a_guest_of_another_node_is_kicked_by_nick(nodes: Two) -> None:
    bob = connect(nodes.two, "bob")
    done = nodes.do("kick", "Bob", reason="noise")
    assert (done.connections_closed, done.note) == (1, None)
    assert reason(bob) == "Kicked by an operator: noise"


def test_all_devices_of_an_account_are_kicked_on_whatever_node(nodes: Two) -> None:
    bob, same = account(nodes.one, "bob"), account(nodes.two, "bob")
    nodes.two.hub.people.accounts[bob.id] = nodes.two.hub.people.accounts.pop(same.id)
    devices = [connect(nodes.one, "laptop", bob), connect(nodes.two, "phone", same)]
    assert nodes.do("kick", "bob").connections_closed == 2
    assert all(device.ending is not None for device in devices)


def test_a_room_is_emptied_on_all_nodes_but_for_operators(nodes: Two) -> None:
    here, there = connect(nodes.one, "ann"), connect(nodes.two, "bob")
    other = connect(nodes.two, "oscar")
    other.operator = True
    assert nodes.do("kick", "lobby", target_type="room").connections_closed == 2
    assert here.ending is not None
    assert there.ending is not None
    assert other.ending is None
    assert nodes.olga.ending is None


def test_a_network_is_kicked_on_all_nodes(nodes: Two) -> None:
    near, far = (nodes.from_address(node, "192.0.2.7") for node in (nodes.one, nodes.two))
    other = nodes.from_address(nodes.two, "198.51.100.1")
    assert nodes.do("kick", "192.0.2.0/24").connections_closed == 2
    assert near.ending is not None
    assert far.ending is not None
    assert other.ending is None


def test_who_is_on_no_node_cannot_be_kicked(nodes: Two) -> None:
    refusal = nodes.refused("kick", "bob")
    assert (refusal.code, refusal.text) == ("no_such_nick", "bob is not online.")


def test_an_operator_alone_is_not_kicked_by_their_own_command(nodes: Two) -> None:
    assert nodes.refused("kick", "olga").text == "Only you match; nobody was kicked."


def test_a_ban_ends_connections_on_all_nodes_and_counts_them(nodes: Two) -> None:
    bob = connect(nodes.two, "bob")
    done = nodes.do("ban", "bob")
    assert [rule.target_type for rule in done.rules] == ["client", "nick"]
    assert (done.connections_closed, done.note) == (1, None)
    assert reason(bob).startswith("You are banned") or reason(bob).startswith("The nick")
    late = nodes.two.policy.banned(bob.client, [], "nowhere")
    assert late is not None


def test_a_ban_is_in_force_on_a_node_that_does_not_answer(
    nodes: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "SECONDS", 0.01)
    monkeypatch.setattr(questions.Questions.ask, "__defaults__", (b"", 0.01))
    bob = connect(nodes.two, "bob")
    nodes.store.deaf.add("two")
    done = nodes.do("ban", "bob")
    assert done.connections_closed == 0
    assert done.note is not None
    assert done.note.startswith("1 of 2 nodes did not answer within")
    assert done.note.endswith("the rule takes effect when they hear of it.")
    let_run()
    assert bob.ending is not None  # it heard of the record all the same


def test_a_nick_that_may_be_on_a_silent_node_is_refused_with_that(
    nodes: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions.Questions.ask, "__defaults__", (b"", 0.01))
    nodes.store.deaf.add("two")
    text = nodes.refused("kick", "bob").text
    assert (
        text == "bob is not online. 1 of 2 nodes did not answer within 2 seconds: it may be there."
    )


def test_the_address_of_a_nick_on_another_node_is_banned(nodes: Two) -> None:
    guest = nodes.from_address(nodes.two, "192.0.2.7")
    guest.nick = "guest-77"
    done = nodes.do("ban", "guest-77", target_type="address")
    assert [(rule.target_type, rule.target) for rule in done.rules] == [("address", "192.0.2.7/32")]
    assert done.connections_closed == 1
    assert guest.ending is not None


def test_who_shares_an_address_on_whatever_node_is_counted_before_it_is_banned(nodes: Two) -> None:
    guest = nodes.from_address(nodes.two, "192.0.2.7")
    guest.nick = "guest-77"
    others = [nodes.from_address(node, "192.0.2.7") for node in (nodes.one, nodes.two)]
    text = nodes.refused("ban", "guest-77", target_type="address").text
    assert text.startswith("2 other clients would go too.")
    assert all(each.ending is None for each in (guest, *others))


def test_a_plain_guest_of_another_node_is_muted_until_unmuted(nodes: Two) -> None:
    guest = nodes.from_address(nodes.two, "192.0.2.7")
    guest.nick = "guest-77"
    assert [rule.target_type for rule in nodes.do("mute", "guest-77").rules] == ["guest"]
    assert guest.muted
    nodes.do("unmute", "guest-77")
    let_run()
    assert not guest.muted


def test_nobody_on_any_node_cannot_be_muted_by_accident(nodes: Two) -> None:
    assert nodes.refused("mute", "bob").text.startswith("bob is not online. To mute whoever")


def test_a_room_is_frozen_on_all_nodes(nodes: Two) -> None:
    nodes.do("freeze", "lobby")
    let_run()
    bob = connect(nodes.two, "bob")
    with pytest.raises(Refused, match="Only operators may post in lobby"):
        nodes.two.policy.check_speech(bob, "lobby")


def test_a_rule_that_cannot_be_stored_is_reported_and_holds_here(nodes: Two) -> None:
    ann = connect(nodes.one, "ann")

    def full() -> None:
        if nodes.one.policy.rules.all():
            raise Refused("storage", "The engine is full.")

    nodes.store.refuses = full
    assert nodes.refused("ban", "ann").code == "storage"
    assert ann.ending is not None
    nodes.store.refuses = lambda: None


def test_two_operators_who_decide_at_once_lose_no_rule(nodes: Two) -> None:
    oscar = connect(nodes.two, "oscar")
    oscar.operator = True
    for nick in ("ann", "bob"):
        connect(nodes.one, nick)
    commands = [
        gevent.spawn(operator_commands.run, session, requests.Admin(action="ban", target=nick))
        for session, nick in ((nodes.olga, "ann"), (oscar, "bob"))
    ]
    gevent.joinall(commands, timeout=20, raise_error=True)
    let_run()
    targets = [
        {rule.target for rule in node.policy.rules.all().values()}
        for node in (nodes.one, nodes.two)
    ]
    assert targets == [{"ann", "bob"}] * 2


def test_a_command_is_completed_though_its_session_ends_while_it_waits(nodes: Two) -> None:
    bob = connect(nodes.two, "bob")
    command = gevent.spawn(nodes.do, "ban", "bob")
    gevent.sleep(0)
    command.kill()
    let_run()
    assert bob.ending is not None


def test_the_connections_of_an_account_are_counted_on_all_nodes(nodes: Two) -> None:
    here, same = account(nodes.one, "bob"), account(nodes.two, "bob")
    nodes.two.hub.people.accounts[here.id] = nodes.two.hub.people.accounts.pop(same.id)
    laptop, phone = connect(nodes.one, "laptop", here), connect(nodes.two, "phone", same)
    assert laptop.login is not None
    assert phone.login is not None
    counts = connections(nodes.one.hub, [here])
    assert counts == {here.id: Counter([laptop.login.id, phone.login.id])}
