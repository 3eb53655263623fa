"""A nick that is held for the user's own lost connection, and free after a while."""

from collections.abc import Iterator

import gevent
import pytest
from gevent.queue import Queue

from geventchat.client import Connection
from geventchat.client.terminal import regain
from geventchat.client.terminal.formatting import Line
from geventchat.client.terminal.regain import Regain
from geventchat.protocol.events import Error, Presence, Renamed
from tests.client.peer import Peer, conversation

REFUSED = Error(code="nick_in_use", text="The nick Ann is in use.")


@pytest.fixture
def talk() -> Iterator[tuple[Connection, Peer]]:
    with conversation() as talk:
        yield talk


@pytest.fixture
def peer(talk: tuple[Connection, Peer]) -> Peer:
    return talk[1]


@pytest.fixture
def shown(talk: tuple[Connection, Peer]) -> Iterator["Queue[Line]"]:
    shown: Queue[Line] = Queue()
    regain = Regain(talk[0], "Ann", shown.put)

    def hear() -> None:
        for event in talk[0]:
            regain.hear(event)

    greenlets = [gevent.spawn(regain.watch), gevent.spawn(hear)]
    yield shown
    gevent.killall(greenlets)


def text(shown: "Queue[Line]") -> str:
    return "".join(piece for _, piece in shown.get(timeout=20))


def test_a_refused_nick_is_taken_when_its_owner_is_gone(peer: Peer, shown: "Queue[Line]") -> None:
    peer.tell(REFUSED)
    assert "you get Ann when it is free; a lost connection holds it for about a" in text(shown)
    peer.tell(Presence(room="lobby", nick="ANN", event="leave"))
    request = peer.request()
    assert (request["type"], request["nick"]) == ("nick", "Ann")
    peer.tell(Renamed(nick="Ann", id=request["id"]))


def test_it_is_tried_again_without_a_sign(
    peer: Peer, shown: "Queue[Line]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regain, "PAUSE_SECONDS", 0.001)
    peer.tell(REFUSED)
    for _ in range(3):
        request = peer.request()
        assert request["nick"] == "Ann"
        peer.tell(Error(code="nick_in_use", text="No.", id=request["id"]))


def test_a_nick_that_stays_in_use_is_given_up(
    peer: Peer, shown: "Queue[Line]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regain, "LONGEST_SECONDS", 0)
    peer.tell(REFUSED)
    text(shown)
    assert text(shown) == "    · Ann is still in use; /nick Ann tries again"


def test_a_user_who_took_another_nick_keeps_it(peer: Peer, shown: "Queue[Line]") -> None:
    peer.tell(REFUSED)
    text(shown)
    peer.tell(Renamed(nick="Bea"), Presence(room="lobby", nick="Ann", event="leave"))
    peer.tell(REFUSED)
    assert "you get Bea" in text(shown)
    peer.tell(Presence(room="lobby", nick="Bea", event="leave"))
    assert peer.request()["nick"] == "Bea"
