"""Two servers on one engine: what an operator of one decides holds on both."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import gevent
import pytest

from geventchat.config import BadSetting
from tests.conversations.chat import Chat, chatting, drop
from tests.conversations.operators import TOKEN, admin, banned, operator
from tests.conversations.peers import Rich, of
from tests.conversations.signed_in import PASSWORD, registered
from tests.engines import RunningEngine, running

_keys = count(1)


class Nodes:
    """Servers on one engine, each with an operator file of its own."""

    def __init__(self, stack: ExitStack, engine: RunningEngine, folder: Path) -> None:
        self._stack, self._url, self._folder = stack, engine.url, folder
        self.engine = engine
        self._count = 0

    def start(self, number: int | None = None, **limits: Any) -> Chat:
        """Start one more server, or the one that had a number again."""
        self._count += number is None
        file = self._folder / f"operator-{number or self._count}"
        file.write_text(f"{TOKEN}\n")
        options = {"operator_file": str(file)}
        return self._stack.enter_context(chatting(self._url, options=options, clock=True, **limits))


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    with running("valkey") as engine, ExitStack() as stack:
        yield Nodes(stack, engine, tmp_path)


def wait_until(holds: Callable[[], object]) -> None:
    with gevent.Timeout(20):
        while not holds():
            gevent.sleep(0.01)


def speaks(peer: Rich) -> bool:
    """Say something; return whether it was posted, and not refused."""
    key = f"key-{next(_keys)}"
    peer.say("lobby", "hi", key)
    return bool(peer.hear(lambda event: event.get("key") == key)[-1]["type"] == "post")


def test_a_ban_made_on_one_node_is_in_force_on_all_and_on_those_that_start_later(
    nodes: Nodes,
) -> None:
    one, two = nodes.start(), nodes.start()
    bob, olga = two.rich("Bob", client="bob-bob-bob-bob-bob"), operator(one)
    done = admin(olga, "ban", "Bob", reason="spam")
    assert (done["connections_closed"], done.get("note")) == (1, None)
    (bye,) = of("bye", bob.closing())
    assert (bye["code"], bye["reconnect"]) == ("banned", False)
    for server in (one, two, nodes.start()):
        assert "spam" in banned(server, nick="Bob")["text"]
        assert "spam" in banned(server, client="bob-bob-bob-bob-bob")["text"]


def test_a_ban_is_in_force_though_every_message_between_the_nodes_is_lost(nodes: Nodes) -> None:
    one, two = nodes.start(), nodes.start()
    bob, olga = two.rich("Bob"), operator(one)
    two.server._hub.other_nodes.on_message = None
    olga.tell("admin", action="ban", target="Bob", target_type="nick", id="1")
    assert of("bye", bob.closing())[0]["code"] == "banned"
    done = olga.hear(lambda event: event.get("id") == "1")[-1]
    assert done["note"].startswith("1 of 2 nodes did not answer within 2 seconds: ")


def test_a_ban_made_on_one_node_can_be_undone_on_another(nodes: Nodes) -> None:
    one, two = nodes.start(), nodes.start()
    admin(operator(one), "ban", "Bob", target_type="nick")
    other = operator(two, "Oscar")
    wait_until(lambda: admin(other, "list")["rules"])
    admin(other, "unban", "Bob")
    assert two.rich("Bob").nick == "Bob"
    assert admin(other, "list")["total"] == 0


def test_a_room_is_frozen_and_thawed_for_all(nodes: Nodes) -> None:
    one, two = nodes.start(), nodes.start()
    bob, olga = two.rich("Bob"), operator(one)
    admin(olga, "freeze", "lobby")
    wait_until(lambda: not speaks(bob))
    admin(olga, "unfreeze", "lobby")
    wait_until(lambda: speaks(bob))


def test_a_client_of_another_node_is_kicked(nodes: Nodes) -> None:
    one, two = nodes.start(), nodes.start()
    bob = two.rich("Bob")
    assert admin(operator(one), "kick", "bob", reason="noise")["connections_closed"] == 1
    assert of("bye", bob.closing())[0]["text"] == "Kicked by an operator: noise"


def test_a_direct_message_reaches_a_guest_of_another_node(nodes: Nodes) -> None:
    one, two = nodes.start(), nodes.start()
    ann, bob = one.rich("Ann"), two.rich("Bob")
    sent = ann.ask("direct", to="bob", text="psst")
    assert (sent["type"], sent["to"], sent["stored"]) == ("sent", "Bob", False)
    heard = bob.hear(lambda event: event["type"] == "direct")[-1]
    assert (heard["author"], heard["text"]) == ("Ann", "psst")
    refused = ann.ask("direct", to="nobody", text="psst")
    assert (refused["code"], refused["text"]) == ("no_such_nick", "nobody is not online.")


def before(
    monkeypatch: pytest.MonkeyPatch, server: Chat, what: str, act: Callable[[], object]
) -> None:
    """Have something done while a server next waits for an answer of its engine."""
    nodes = server.server._timeline.nodes
    asked = getattr(nodes, what)

    def ask(*about: Any, **more: Any) -> Any:
        answer = asked(*about, **more)
        monkeypatch.setattr(nodes, what, asked)
        act()
        return answer

    monkeypatch.setattr(nodes, what, ask)


def test_a_nick_that_is_banned_while_a_client_asks_the_engine_for_it_is_not_given(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = nodes.start(), nodes.start()
    eve, olga = two.rich("Eve"), operator(one)
    before(monkeypatch, two, "claim", lambda: admin(olga, "ban", "Bob", reason="spam"))
    refused = eve.ask("nick", nick="Bob")
    assert refused["code"] == "forbidden"
    assert "spam" in refused["text"]
    admin(olga, "unban", "Bob")
    assert one.rich("Bob").nick == "Bob"  # the claim was given back


def test_a_hello_does_not_get_a_nick_that_is_banned_while_it_asks_the_engine(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = nodes.start(), nodes.start()
    olga = operator(one)
    before(monkeypatch, two, "claim", lambda: admin(olga, "ban", "Bob"))
    bob = two.rich("Bob")
    assert bob.nick.startswith("guest-")
    assert [error["code"] for error in of("error", bob.greeting)] == ["forbidden"]


def test_a_client_does_not_come_back_to_a_nick_that_is_banned_while_it_enters(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = nodes.start(), nodes.start()
    bob, olga = two.rich("Bob", client="bob-bob-bob-bob-bob"), operator(one)
    drop(bob)
    two.wait_disconnected(bob)
    ban = {"target_type": "nick", "reason": "spam"}
    before(monkeypatch, two, "enter", lambda: admin(olga, "ban", "Bob", **ban))
    assert "spam" in banned(two, client="bob-bob-bob-bob-bob")["text"]


def test_an_account_does_not_take_a_nick_that_is_banned_while_others_decide(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = nodes.start(), nodes.start()
    ann, olga = registered(two, "Ann"), operator(one)
    before(monkeypatch, two, "deciding", lambda: admin(olga, "ban", "Bob"))
    assert ann.ask("nick", nick="Bob")["code"] == "forbidden"
    admin(olga, "unban", "Bob")
    assert one.rich("Bob").nick == "Bob"


@pytest.mark.parametrize("hello", [True, False])
def test_no_account_is_made_of_a_nick_that_is_banned_while_others_decide(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch, hello: bool
) -> None:
    one, two = nodes.start(), nodes.start()
    olga, eve = operator(one), two.rich("Eve")
    before(monkeypatch, two, "deciding", lambda: admin(olga, "ban", "Bob"))
    if hello:
        account = {"nick": "Bob", "password": PASSWORD, "register": True}
        assert two.refused(account=account)[-1]["code"] == "account"
    else:
        assert eve.ask("register", nick="Bob", password=PASSWORD)["code"] == "forbidden"
    assert olga.ask("accounts", action="list")["accounts"] == []


def test_all_servers_of_a_store_may_be_restarted_without_losing_a_rule(nodes: Nodes) -> None:
    one, two = nodes.start(), nodes.start()
    admin(operator(one), "ban", "Bob", target_type="nick")
    one.stop()
    two.stop()
    assert banned(nodes.start(), nick="Bob")


def test_an_engine_that_loses_everything_gets_the_rules_from_the_nodes(nodes: Nodes) -> None:
    one, two = nodes.start(), nodes.start()
    admin(operator(one), "ban", "Bob", target_type="nick")
    wait_until(two.server._policy.rules.all)
    epoch = one.server._timeline.epoch
    nodes.engine.call("FLUSHALL")
    timelines = [each.server._timeline for each in (one, two)]
    wait_until(lambda: all(each.epoch != epoch for each in timelines))
    late = nodes.start()
    wait_until(late.server._policy.rules.all)  # it may have come before they were written
    for server in (one, two, late):
        assert banned(server, nick="Bob")


def test_an_engine_that_has_lost_everything_gets_the_rules_from_the_copy_of_a_node(
    nodes: Nodes,
) -> None:
    one = nodes.start()
    admin(operator(one), "ban", "Bob", target_type="nick")
    copy = one.server._policy._file
    assert copy is not None
    wait_until(copy.load)
    one.stop()
    nodes.engine.call("FLUSHALL")
    assert banned(nodes.start(1), nick="Bob")
    assert banned(nodes.start(), nick="Bob")


def test_a_node_does_not_start_without_its_engine_and_so_never_without_the_rules(
    nodes: Nodes,
) -> None:
    one = nodes.start()
    admin(operator(one), "ban", "Bob", target_type="nick")
    one.stop()
    nodes.engine.stop()
    with pytest.raises(BadSetting):
        nodes.start(1)
    nodes.engine.start(sleep=gevent.sleep)
    assert banned(nodes.start(1), nick="Bob")
