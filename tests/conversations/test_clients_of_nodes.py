"""Two servers on one engine: a client is on one of them, and each nick has one owner on both."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import Any

import gevent
import pytest

from geventchat.server.timeline.redis import asking
from tests.conversations.chat import Chat, chatting, drop
from tests.conversations.hooks import as_json, hook
from tests.conversations.operators import TOKEN, admin, operator
from tests.conversations.peers import Rich, of
from tests.conversations.signed_in import PASSWORD, registered
from tests.conversations.web import web_chatting
from tests.engines import RunningEngine, running
from tests.process import served

Address = tuple[str, int]
CLIENT = "a-client-that-moves"


@pytest.fixture
def two(tmp_path: Path, engines: Callable[[str], RunningEngine]) -> Iterator[tuple[Chat, Chat]]:
    """Return two servers on one engine, each with an operator file of its own."""
    url = engines("valkey").url
    with ExitStack() as stack:

        def start(name: str) -> Chat:
            file = tmp_path / name
            file.write_text(f"{TOKEN}\n")
            options = {"operator_file": str(file)}
            return stack.enter_context(chatting(url, options=options, clock=True))

        yield start("one"), start("two")


def until(holds: Callable[[], object]) -> None:
    with gevent.Timeout(20):
        while not holds():
            gevent.sleep(0.005)


def test_a_client_that_connects_to_another_node_is_replaced_and_keeps_its_nick(
    two: tuple[Chat, Chat],
) -> None:
    one, other = two
    eve = one.rich("Eve")
    ann = one.rich("Ann", client=CLIENT)
    eve.hear(lambda event: event.get("event") == "join" and event["nick"] == "Ann")
    again = other.rich(client=CLIENT)
    assert again.nick == "Ann"
    bye = ann.closing()[-1]
    assert (bye["code"], bye["reconnect"]) == ("replaced", False)
    assert of("presence", eve.pong()) == []
    again.say("lobby", "here I am")
    assert eve.posts(1)[0]["author"] == "Ann"


def test_a_nick_that_is_held_on_another_node_says_for_how_long(two: tuple[Chat, Chat]) -> None:
    one, other = two
    ann, eve = one.rich("Ann", client=CLIENT), other.rich("Eve")
    assert eve.ask("nick", nick="ANN")["text"] == "The nick ANN is in use. Choose another."
    drop(ann)
    until(lambda: "is held for its former user" in eve.ask("nick", nick="Ann")["text"])
    assert eve.ask("nick", nick="\u0430nn")["code"] == "nick_too_similar"
    assert other.rich(client=CLIENT).nick == "Ann"


def test_a_nick_that_is_given_back_can_be_had_on_another_node(two: tuple[Chat, Chat]) -> None:
    one, other = two
    ann, eve = one.rich("Ann"), other.rich("Eve")
    assert ann.ask("nick", nick="Zoe")["type"] == "renamed"
    until(lambda: eve.ask("nick", nick="Ann")["type"] == "renamed")
    assert ann.ask("nick", nick="Ann")["code"] == "nick_in_use"


def test_guests_of_two_nodes_have_different_names(two: tuple[Chat, Chat]) -> None:
    names = [chat.rich().nick for _ in range(5) for chat in two]
    assert len({*names}) == len(names)


def test_nobody_has_the_nick_of_an_account_that_was_made_on_another_node(
    two: tuple[Chat, Chat],
) -> None:
    one, other = two
    eve = other.rich("Eve")
    ann = registered(one, "Ann")
    assert "belongs to an account" in eve.ask("nick", nick="Ann")["text"]
    assert ann.ask("nick", nick="Zoe")["type"] == "renamed"
    assert "belongs to an account" in eve.ask("nick", nick="Zoe")["text"]
    assert ann.ask("nick", nick="Eve")["code"] == "nick_in_use"
    assert eve.ask("register", nick="Ann", password=PASSWORD)["code"] == "nick_in_use"


def test_of_those_who_register_a_nick_on_two_nodes_at_once_one_has_it(
    two: tuple[Chat, Chat],
) -> None:
    peers = [chat.rich() for _ in range(3) for chat in two]
    asking = [gevent.spawn(peer.ask, "register", nick="Crown", password=PASSWORD) for peer in peers]
    gevent.joinall(asking, timeout=30, raise_error=True)
    kinds = [each.get()["type"] for each in asking]
    assert sorted(kinds) == ["error"] * 5 + ["signed_in"]


def test_a_server_that_is_closed_admits_a_client_that_another_node_knows(
    two: tuple[Chat, Chat],
) -> None:
    one, other = two
    one.rich("Ann", client=CLIENT)
    assert admin(operator(one), "close")
    until(lambda: other.server._policy.shut() is not None)
    assert other.rich(client=CLIENT).nick == "Ann"
    assert other.refused()[-1]["code"] == "full"


def test_a_wrong_password_moves_nobody(engines: Callable[[str], RunningEngine]) -> None:
    url = engines("valkey").url
    options = {"password": "secret"}
    with chatting(url, options=options) as one, chatting(url, options=options) as other:
        ann = one.rich("Ann", client=CLIENT, password="secret")
        assert other.refused(client=CLIENT, password="wrong")[-1]["code"] == "password"
        assert ann.pong() == []
        assert other.rich(client=CLIENT, password="secret").nick == "Ann"


def test_a_hello_that_its_client_has_given_up_does_not_end_the_newer_connection(
    two: tuple[Chat, Chat], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It signed in for so long that the client went to another node."""
    other, slow = two
    registered(other, "Ann")
    hello: dict[str, Any] = {"account": {"nick": "Ann", "password": PASSWORD}, "client": CLIENT}
    ann = other.rich(**hello)
    nodes, waited = slow.server._hub.timeline.nodes, asking._WAIT_SECONDS

    def catch_up() -> None:
        monkeypatch.setattr(asking, "_WAIT_SECONDS", 0.01)
        gevent.sleep(0.02)

    monkeypatch.setattr(nodes, "catch_up", catch_up)
    bye = slow.refused(**hello)[-1]
    assert (bye["code"], bye["reconnect"]) == ("shutdown", True)
    monkeypatch.setattr(asking, "_WAIT_SECONDS", waited)
    slow.rich()  # what it asks the engine is behind all that was asked before
    assert of("bye", ann.pong()) == []


def test_a_client_that_cannot_be_admitted_as_the_engine_is_away_comes_back_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asking, "_WAIT_SECONDS", 0.2)
    with running("valkey") as own, chatting(own.url) as chat:
        own.signal(SIGSTOP)
        try:
            bye = chat.refused()[-1]
        finally:
            own.signal(SIGCONT)
        assert (bye["code"], bye["reconnect"]) == ("shutdown", True)
        assert bye["after_ms"] > 0


@pytest.fixture
def killed(tmp_path: Path) -> Iterator[tuple[Rich, Address]]:
    """Return somebody on a node, where Ann was on another one, and where she may come back."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with (
        running("valkey") as own,
        served(tmp_path / "one", "--timeline", own.url) as one,
        served(tmp_path / "two", "--timeline", own.url) as two,
        Rich(one.address, "Ann", client=CLIENT) as ann,
        Rich(two.address, "Eve") as eve,
    ):
        one.signal(SIGKILL)
        ann.rest()
        yield eve, two.address


def test_a_client_of_a_node_that_is_killed_keeps_its_nick_on_another(
    killed: tuple[Rich, Address],
) -> None:
    eve, address = killed
    with Rich(address, client=CLIENT) as again:
        assert again.nick == "Ann"
        assert eve.ask("nick", nick="Ann")["code"] == "nick_in_use"


def test_the_nick_of_a_client_of_a_node_that_was_killed_is_free_when_its_lease_is(
    killed: tuple[Rich, Address],
) -> None:
    eve, _ = killed
    until(lambda: eve.ask("nick", nick="Ann")["type"] == "renamed")


def test_a_hook_posts_under_no_nick_that_is_in_use_on_another_node(
    tmp_path: Path, engines: Callable[[str], RunningEngine]
) -> None:
    file = tmp_path / "operator"
    file.write_text(f"{TOKEN}\n")
    url = engines("valkey").url
    options = {"operator_file": str(file)}
    with chatting(url) as one, web_chatting(timeline=url, options=options) as web:
        ann, token = one.rich("Ann"), hook(web)
        for author in ("Ann", "\u0430nn"):
            answer = web.raw().ask(as_json(token, text="x", author=author))
            assert (answer.status, b"Ann" in answer.body) == (400, True)
        assert web.raw().ask(as_json(token, text="x", author="CI")).status == 200
        assert ann.posts(1)[0]["author"] == "CI"
