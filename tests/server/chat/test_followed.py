"""What happens to people on one node happens to them on the other."""

import pytest

from geventchat.protocol import events, requests
from geventchat.protocol.errors import LOST, PASSWORD_CHANGED, REMOVED, REVOKED, Refused
from geventchat.server.chat.followed import Followed
from geventchat.server.people.new_epoch import KINDS, kept
from geventchat.server.people.records import encoded
from tests.server.switches import let_run
from tests.server.two_nodes import Node, seen, two_nodes


@pytest.fixture
def nodes() -> tuple[Node, Node]:
    return two_nodes()


def state(node: Node) -> dict[tuple[str, str], bytes | None]:
    """Return all that a node has in memory of people, but for what it has counted."""
    return {
        each.record: encoded(each.value())
        for kind in KINDS
        for each in kept(node.people, kind)
        if kind != "counted"
    }


def agree(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    let_run()
    assert state(one) == state(other)


# Accounts


def test_a_new_account_has_its_nick_on_both_nodes(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    anna = one.account("Anna")
    assert other.hub.owners.find_account("anna") is other.same(anna)
    assert other.same(anna).is_in("lobby")
    agree(nodes)


def test_a_nick_changes_on_all_connections_of_both_nodes(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    anna = one.account("Anna")
    laptop, phone = one.connect("laptop", anna), other.connect("phone", anna)
    friend = other.connect("friend")
    seen(phone)
    one.ask(laptop, requests.Nick(nick="Annette"))
    assert phone.nick == "Annette"
    assert events.Renamed(nick="Annette") in seen(phone)
    rename = events.Presence(
        room="lobby", nick="Anna", event="rename", new_nick="Annette", account=anna.id
    )
    assert seen(friend) == [rename]
    assert other.hub.owners.find_account("Anna") is other.same(anna)  # as a former nick
    agree(nodes)


def test_the_members_hear_the_new_nick_of_somebody_who_is_away(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    anna = one.account("Anna")
    laptop, phone = one.connect("laptop", anna), other.connect("phone", anna)
    friend = other.connect("friend")
    other.hub.remove(phone, LOST)
    assert seen(friend) == []
    one.ask(laptop, requests.Nick(nick="Annette"))
    (rename,) = seen(friend)
    assert isinstance(rename, events.Presence)
    assert (rename.nick, rename.new_nick) == ("Anna", "Annette")
    back = other.connect("phone", anna)
    assert back.nick == "Annette"
    assert seen(friend) == []  # it was never missed


def test_a_nick_that_is_spelled_otherwise_is_still_its_own(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    anna = one.account("Anna")
    laptop = one.connect("laptop", anna)
    one.ask(laptop, requests.Nick(nick="ANNA"))
    assert other.hub.owners.find_account("anna") is other.same(anna)
    assert other.same(anna).nick == "ANNA"
    agree(nodes)


def test_a_former_nick_that_is_over_is_not_taken_from_its_new_owner(
    nodes: tuple[Node, Node],
) -> None:
    """Each node gives such nicks back by itself, and one may still write what it has not yet."""
    one, other = nodes
    anna = one.account("Anna")
    anna.former["Zoe"] = 1
    zoe = other.account("Zoe")
    one.people.save(anna)
    assert other.hub.owners.find_account("Zoe") is zoe
    anna.former["Zoe"] = 1 << 50
    one.people.save(anna)
    assert other.hub.owners.find_account("Zoe") is zoe


def test_a_revoked_session_ends_on_the_other_node(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    anna = one.account("Anna")
    laptop, phone = one.connect("laptop", anna), other.connect("phone", anna)
    assert phone.login is not None
    one.ask(laptop, requests.Revoke(session=phone.login.id))
    assert phone.ending == REVOKED
    assert laptop.ending is None
    agree(nodes)


def test_a_changed_password_ends_all_other_connections(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    anna = one.account("Anna")
    anna.password = one.people.passwords.hash("before-it")
    one.people.save(anna)
    laptop, phone = one.connect("laptop", anna), other.connect("phone", anna)
    one.ask(laptop, requests.ChangePassword(password="before-it", new_password="after-it"))
    assert phone.ending == PASSWORD_CHANGED
    assert laptop.ending is None
    assert other.same(anna).password == anna.password
    agree(nodes)


def test_a_removed_account_is_gone_from_both_nodes(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    anna = one.account("Anna")
    phone, friend = other.connect("phone", anna), other.connect("friend")
    operator = one.connect("operator")
    operator.operator = True
    one.ask(operator, requests.Accounts(action="remove", nick="Anna"))
    assert phone.ending == REMOVED
    assert events.Presence(room="lobby", nick="Anna", event="leave", account=anna.id) in seen(
        friend
    )
    assert other.hub.owners.find_account("Anna") is None
    assert other.people.count == 0
    agree(nodes)


def test_an_account_that_could_not_be_stored_for_certain_is_forgotten(
    nodes: tuple[Node, Node],
) -> None:
    one, other = nodes
    anna = one.account("Anna")
    phone = other.connect("phone", anna)
    one.hub.owners.discard(anna)
    let_run()
    assert phone.ending is not None
    assert other.hub.owners.find_account("Anna") is None
    assert anna.id not in other.people.accounts


def test_who_is_blocked_on_one_node_is_blocked_on_the_other(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    anna, bert = one.account("Anna"), one.account("Bert")
    laptop = one.connect("laptop", anna)
    one.ask(laptop, requests.Block(nick="Bert", on=True))
    assert bert.id in other.same(anna).blocked
    one.ask(laptop, requests.Block(nick="Bert", on=False))
    assert not other.same(anna).blocked
    agree(nodes)


# Others


def test_a_webhook_is_made_and_revoked_on_both_nodes(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    operator = one.connect("operator")
    operator.operator = True
    one.people.hooks.address = other.people.hooks.address = "http://localhost/hooks/"
    one.ask(operator, requests.Hook(action="add", room="tea"))
    (hook,) = other.people.hooks.of("tea")
    one.ask(operator, requests.Hook(action="revoke", hook=hook.id))
    assert other.people.hooks.of(None) == []
    agree(nodes)


def test_what_was_read_on_one_node_is_read_on_the_other(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    anna = one.account("Anna")
    laptop, phone = one.connect("laptop", anna), other.connect("phone", anna)
    mark = anna.memberships["lobby"]
    one.people.marks.begin(mark, 0)
    one.people.save(mark)
    for node in nodes:
        speaker = node.connect("speaker")
        for text in ("hello @Anna", "and more"):
            node.say(speaker, text)
        node.timeline.store()
        node.timeline.deliver_next()
    for node in nodes:
        while node.delivering:
            node.slice()
    seen(phone)
    one.ask(laptop, requests.Read(room="lobby", position=1))
    assert seen(phone) == [events.Read(room="lobby", position=1, unread=1, mentions=0)]
    agree(nodes)


def test_a_record_of_another_version_is_logged_and_the_others_are_followed(
    nodes: tuple[Node, Node], caplog: pytest.LogCaptureFixture
) -> None:
    one, other = nodes
    anna = one.account("Anna")
    value = encoded(anna.value())
    followed: Followed = other.hub.followed
    followed.hear([("account", "x", b"\xc1"), ("unknown", "y", b""), ("account", "z", value)])
    assert "a record of kind account cannot be read" in caplog.text
    assert "z" in other.people.accounts


def test_nobody_may_look_like_an_account_when_a_former_nick_of_its_is_over(
    nodes: tuple[Node, Node],
) -> None:
    """It had taken a look-alike of its nick and left it again, which one write has brought."""
    one, other = nodes
    anna = one.account("Anna")
    anna.rename("a1ice")
    anna.rename("alice")
    one.people.save(anna)
    same = other.same(anna)
    same.former["a1ice"] = 1
    for nick in same.forget_former():
        other.hub.owners.release(same, nick)
    with pytest.raises(Refused) as refused:
        other.hub.owners.check_nick("aIice")
    assert refused.value.code == "nick_too_similar"
