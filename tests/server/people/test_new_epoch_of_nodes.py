"""When a new epoch begins, one node has the store hold what it has in memory, and others follow."""

from collections.abc import Sequence

import gevent
import pytest

from geventchat.protocol import requests
from geventchat.protocol.errors import ACCOUNT
from geventchat.server.people import new_epoch, records
from geventchat.server.people.account import ACCOUNT as ACCOUNT_RECORD
from geventchat.server.people.account import MEMBERSHIP
from geventchat.server.people.new_epoch import adopt
from geventchat.server.people.records import encoded
from geventchat.server.timeline import Behind, RecordChange
from tests.server.chat.test_followed import state
from tests.server.two_nodes import Node, Paired, two_nodes

_SECONDS = 20.0


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> tuple[Node, Node]:
    monkeypatch.setattr(new_epoch, "_RETRY_SECONDS", 0.001)
    return two_nodes()


def begin(nodes: tuple[Node, Node]) -> None:
    """Begin another epoch on both nodes, whose members are in no room any more."""
    for node in nodes:
        node.timeline.epoch = "another"
        node.people.forget_positions()
        node.written.clear()


def adopting(node: Node) -> "gevent.Greenlet[..., None]":
    return gevent.spawn(adopt, node.people, node.timeline, node.hub.followed.reread)


def test_the_leading_node_writes_what_the_store_lacks_and_the_other_writes_nothing(
    nodes: tuple[Node, Node],
) -> None:
    one, other = nodes
    one.account("Anna", "lobby", "tea")
    lost = dict(one.store)
    one.store.clear()
    begin(nodes)
    gevent.joinall([adopting(other), adopting(one)], timeout=_SECONDS, raise_error=True)
    assert {record for record in lost if record[0] != "counted"} <= set(one.store)
    assert [kind for kind, _ in other.written if kind == ACCOUNT_RECORD] == []
    assert state(one) == state(other)


def test_the_other_node_waits_for_the_one_that_leads(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    one.account("Anna")
    begin(nodes)
    follows = adopting(other)
    gevent.sleep(0.05)
    assert not follows.ready()
    gevent.joinall([adopting(one), follows], timeout=_SECONDS, raise_error=True)
    assert follows.successful()


def test_a_node_that_waits_in_vain_writes_itself(
    nodes: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, other = nodes
    anna = other.account("Anna")
    other.store.clear()
    begin(nodes)
    monkeypatch.setattr(new_epoch, "_PATIENT_SECONDS", 0.01)
    adopting(other).get(timeout=_SECONDS)
    assert anna.record in other.store


def test_a_node_that_had_heard_less_does_not_decide_what_is_lost(
    nodes: tuple[Node, Node],
) -> None:
    """It leads, but was cut off while the other one went on."""
    one, other = nodes
    anna = one.account("Anna")
    other.peer = other  # the first hears nothing of what follows
    other.account("Bert")
    other.people.remove(other.same(anna))
    other.store.clear()
    other.peer = one
    begin(nodes)
    assert isinstance(other.timeline.nodes, Paired)
    other.timeline.nodes.knew = 1, 2
    gevent.joinall([adopting(one), adopting(other)], timeout=_SECONDS, raise_error=True)
    assert [account.nick for account in one.people.accounts.values()] == ["Anna", "Bert"]
    assert anna.removed
    assert state(one) == state(other)
    assert not any(kind == "epoch" and number != "adopted" for kind, number in one.store)


def test_what_is_to_be_written_meanwhile_keeps_no_node_from_adopting_the_epoch(
    nodes: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others have written it since the epoch began, which is not known before it is adopted."""
    anna = nodes[0].account("Anna")
    begin(nodes)
    for node in nodes:
        write_nothing_else_before_adopting(node, monkeypatch)
        node.people.records.note(node.same(anna))
    gevent.joinall([adopting(node) for node in nodes], timeout=_SECONDS, raise_error=True)
    for node in nodes:
        node.people.records.settled()


def write_nothing_else_before_adopting(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse as behind what a node writes, but for records of the epoch, until it is adopted."""
    keep, adopted = node.timeline.keep, list[str]()

    def keep_if_adopted(changes: Sequence[RecordChange]) -> None:
        if not adopted and any(kind != "epoch" for kind, _, _ in changes):
            raise Behind
        keep(changes)

    monkeypatch.setattr(records, "_RETRY_SECONDS", 0.001)
    monkeypatch.setattr(node.timeline, "keep", keep_if_adopted)
    monkeypatch.setattr(node.people.records, "_keep", keep_if_adopted)
    monkeypatch.setattr(node.timeline.nodes, "adopted", adopted.append)


def test_what_the_store_has_is_followed_when_it_is_read_again(nodes: tuple[Node, Node]) -> None:
    """As if nothing had been heard meanwhile."""
    one, other = nodes
    anna, bert = one.account("Anna"), one.account("Bert")
    phone, guest = other.connect("phone", anna), other.connect("guest")
    other.peer, one.peer = None, one  # from now on nobody hears anything
    cid = one.people.add(type(anna)("an-id", "Cid", 0))
    anna.rename("Annette")
    one.store[cid.record] = encoded(cid.value()) or b""
    one.store[anna.record] = encoded(anna.value()) or b""
    for kind, number in list(one.store):
        if number.startswith(bert.id):
            del one.store[kind, number]
    one.store[MEMBERSHIP, f"{anna.id}/tea"] = b"\x80"
    other.hub.followed.reread()
    assert phone.nick == "Annette"
    assert "tea" in phone.to_follow
    assert other.hub.owners.find_account("Cid") is other.same(cid)
    assert other.hub.owners.find_account("Bert") is None
    assert bert.id not in other.people.accounts
    assert guest.ending is None
    assert phone.ending is None
    assert {kind for kind, _ in other.written} <= {"login"}


def test_connections_of_an_account_that_the_store_has_lost_end(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    phone = other.connect("phone", one.account("Anna"))
    one.store.clear()
    other.hub.followed.reread()
    assert phone.ending == ACCOUNT
    assert other.people.count == 0


def test_a_conversation_that_the_store_has_lost_can_begin_anew(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    anna, bert = one.account("Anna"), one.account("Bert")
    laptop, phone = one.connect("laptop", anna), other.connect("phone", bert)
    one.ask(laptop, requests.Open(with_="Bert"))
    (name,) = [room for room in laptop.rooms if room != "lobby"]
    other.ask(phone, requests.Open(with_="Anna"))
    for kind, number in list(one.store):
        if name in number:
            del one.store[kind, number]
    other.hub.followed.reread()
    assert list(phone.rooms) == ["lobby"]
    assert list(other.people.conversations.latest(other.same(bert))) == []
    other.ask(phone, requests.Open(with_="Anna"))
    assert {"lobby", name} - set(phone.rooms) == {name}
    assert len(phone.rooms) == 2
