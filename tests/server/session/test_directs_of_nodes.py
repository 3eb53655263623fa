"""Direct messages that are not stored reach who has the nick, on whatever node."""

import gevent
import pytest

from geventchat.protocol import events, requests
from geventchat.protocol.errors import Refused
from geventchat.server.chat import questions
from geventchat.server.session import directs
from geventchat.server.session.session import Session
from tests.server.hub_harness import account, connect, seen
from tests.server.joined import Joined, Store
from tests.server.switches import let_run


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def nodes(store: Store) -> list[Joined]:
    return [Joined(store, name) for name in ("one", "two", "three")]


def direct(session: Session, to: str, text: str = "hi") -> None:
    directs._direct(session, requests.Direct(to=to, text=text, id="7"))


def texts(session: Session) -> list[str]:
    let_run()
    return [event.text for event in seen(session) if isinstance(event, events.Direct)]


def sent(session: Session) -> list[str | None]:
    return [event.to for event in seen(session) if isinstance(event, events.Sent)]


def test_a_guest_is_reached_on_another_node_and_the_nick_comes_back_as_spelled(
    nodes: list[Joined],
) -> None:
    ann, bob = connect(nodes[0], "ann"), connect(nodes[2], "Bob")
    direct(ann, "bob")
    assert sent(ann) == ["Bob"]
    assert texts(bob) == ["hi"]


def test_the_messages_of_one_author_arrive_in_their_order(nodes: list[Joined]) -> None:
    ann, bob = connect(nodes[0], "ann"), connect(nodes[1], "bob")
    for number in range(20):
        direct(ann, "bob", str(number))
    assert texts(bob) == [str(number) for number in range(20)]


def test_nobody_is_told_that_a_message_was_sent_which_nobody_has(nodes: list[Joined]) -> None:
    ann = connect(nodes[0], "ann")
    with pytest.raises(Refused) as caught:
        direct(ann, "bob")
    assert (caught.value.code, caught.value.text) == ("no_such_nick", "bob is not online.")
    assert sent(ann) == []


def test_where_a_node_is_silent_it_is_said_that_the_message_may_have_arrived(
    store: Store, nodes: list[Joined], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "SECONDS", 0.01)
    store.deaf.add("two")
    ann = connect(nodes[0], "ann")
    with pytest.raises(Refused) as caught:
        direct(ann, "bob")
    assert caught.value.code == "no_such_nick"
    assert caught.value.text.endswith("your message may have arrived there.")


def test_a_guest_reaches_all_devices_of_an_account_on_whatever_node(nodes: list[Joined]) -> None:
    ann = connect(nodes[0], "ann")
    bobs = [account(node, "bob") for node in nodes]
    devices = [
        connect(node, f"device {number}", bob)
        for number, (node, bob) in enumerate(zip(nodes, bobs, strict=True))
    ]
    direct(ann, "bob")
    assert sent(ann) == ["bob"]
    assert [texts(device) for device in devices] == [["hi"]] * 3


def test_an_account_with_no_device_here_is_reached_on_all_others(nodes: list[Joined]) -> None:
    ann = connect(nodes[0], "ann")
    bobs = [account(node, "bob") for node in nodes]
    devices = [connect(nodes[number], f"device {number}", bobs[number]) for number in (1, 2)]
    direct(ann, "bob")
    assert sent(ann) == ["bob"]
    assert [texts(device) for device in devices] == [["hi"]] * 2


def test_a_session_that_ends_while_it_waits_leaves_nothing_behind(
    store: Store, nodes: list[Joined]
) -> None:
    store.deaf |= {"two", "three"}
    ann = connect(nodes[0], "ann")
    waiting = gevent.spawn(direct, ann, "bob")
    let_run()
    assert not waiting.ready()
    waiting.kill()
    assert nodes[0].hub.questions._pending == {}
