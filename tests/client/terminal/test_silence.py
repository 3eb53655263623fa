"""A server that says nothing, as when it is stopped."""

import time
from collections.abc import Iterator
from datetime import date

import gevent
import pytest
from gevent.queue import Queue

from geventchat.client import Connection
from geventchat.client.terminal import silence
from geventchat.client.terminal.formatting import Line
from geventchat.client.terminal.room import PendingSay
from geventchat.client.terminal.silence import Silence
from geventchat.client.terminal.view import View
from geventchat.protocol.events import Pong, Presence
from tests.client.peer import Peer, conversation, meanwhile

Talk = tuple[Connection, Peer]


@pytest.fixture
def talk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Talk]:
    for name in ("SILENCE_SECONDS", "PONG_SECONDS", "_LOOK_SECONDS"):
        monkeypatch.setattr(silence, name, 0.001)
    with conversation() as talk:
        yield talk


@pytest.fixture
def view() -> View:
    return View("lobby", "anna", date(2026, 3, 3))


@pytest.fixture
def shown(talk: Talk, view: View) -> Iterator["Queue[Line]"]:
    shown: Queue[Line] = Queue()
    watch = Silence(talk[0], view, shown.put)

    def hear() -> None:
        for event in talk[0]:
            watch.hear(event)

    greenlets = [gevent.spawn(watch.watch), gevent.spawn(hear)]
    yield shown
    gevent.killall(greenlets)


def text(shown: "Queue[Line]") -> str:
    return "".join(piece for _, piece in shown.get(timeout=20))


@pytest.mark.parametrize("what", ["a message", "a command"])
def test_a_server_that_does_not_answer_is_asked_and_the_user_told(
    talk: Talk, view: View, shown: "Queue[Line]", what: str
) -> None:
    if what == "a message":
        view.pending["k"] = PendingSay("lobby", "hi", time.monotonic())
    else:
        view.asked = time.monotonic()
    ping = talk[1].request()
    assert ping["type"] == "ping"
    assert text(shown) == "    ! No answer from the server yet; asking it."
    assert view.trouble == "no answer from the server"
    view.pending.clear()
    view.asked = None
    talk[1].tell(Pong(id=ping["id"]))
    assert text(shown) == "    · the server answers again"
    assert view.trouble == ""


def test_whatever_comes_shows_that_the_server_answers(
    talk: Talk, view: View, shown: "Queue[Line]"
) -> None:
    view.asked = time.monotonic()
    text(shown)
    view.asked = None
    talk[1].tell(Presence(room="lobby", count=3))
    assert text(shown) == "    · the server answers again"


def test_a_lost_connection_is_not_called_silence(
    talk: Talk, view: View, shown: "Queue[Line]"
) -> None:
    view.trouble = "disconnected, reconnecting"
    view.asked = time.monotonic()
    closing = meanwhile(talk[0].close)
    assert talk[1].request()["type"] == "bye"  # and no ping
    assert shown.empty()
    talk[1].socket.close()
    closing.get()
