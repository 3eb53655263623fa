"""Bugs in the server: each ends only its connection, with an error, and is logged once."""

import logging
from typing import Any, Final, NoReturn

import pytest
from gevent.event import Event

from geventchat.protocol import requests
from geventchat.server.chat.hub import Hub
from geventchat.server.session import handlers, replay
from geventchat.server.session.session import Session
from tests.conversations.chat import Chat, chatting
from tests.conversations.conftest import Address
from tests.conversations.peers import Bystanders, Plain, Rich, texts


class UnexpectedBug(BaseException):
    """An exception that no handler names."""


BUGS: Final[list[type[BaseException]]] = [
    ValueError, AssertionError, KeyError, RecursionError, StopIteration, MemoryError, OSError,
    TimeoutError, SystemExit, KeyboardInterrupt, UnexpectedBug,
]  # fmt: skip


@pytest.fixture(params=BUGS)
def bug(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the server fail at `typing`, in one way after the other."""
    kind: type[BaseException] = request.param

    def fail(*_: object) -> NoReturn:
        raise kind("a bug of ours")

    table: dict[Any, Any] = handlers._TABLE
    monkeypatch.setitem(table, requests.Typing, fail)


def is_internal(bye: dict[str, Any]) -> bool:
    return (bye["type"], bye["code"], bye["reconnect"]) == ("bye", "internal", True)


@pytest.mark.usefixtures("bug")
def test_a_bug_ends_one_connection_and_no_other(address: Address) -> None:
    with Bystanders(address) as bystanders, Rich(address, "ann") as ann:
        ann.say("lobby", "before", key="k1")
        ann.posts(1)
        ann.tell("typing", room="lobby")
        ann.say("lobby", "too late")
        (bye,) = ann.closing()
        assert is_internal(bye)
        assert bye["after_ms"] > 0
        bystanders.check_heard("before")


@pytest.mark.usefixtures("bug")
def test_a_bug_is_logged_once_with_its_traceback(
    address: Address, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with Rich(address) as ann:
        ann.tell("typing", room="lobby")
        ann.closing()
    with Rich(address):
        (record,) = [each for each in caplog.records if each.levelno >= logging.ERROR]
        assert record.exc_info is not None
        assert "a bug of ours" in caplog.text
        assert ann.client not in caplog.text
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("bug")
def test_a_client_that_met_a_bug_can_resume(address: Address) -> None:
    with Bystanders(address) as bystanders, Rich(address, "ann") as ann:
        ann.tell("typing", room="lobby")
        ann.closing()
        with Rich(address, client=ann.client) as again:
            assert again.nick == "ann"
            again.say("lobby", "back")
            assert again.posts(1)[0]["author"] == "ann"
            bystanders.check_heard("back")


def test_a_bug_met_a_hundred_times_leaks_nothing(
    address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    table: dict[Any, Any] = handlers._TABLE
    monkeypatch.delitem(table, requests.Typing)
    with Bystanders(address) as bystanders:
        for _ in range(100):
            with Rich(address, client="client-that-comes-back") as ann:
                ann.tell("typing", room="lobby")
                assert is_internal(ann.closing()[-1])
        bystanders.check_heard()
        assert len(bystanders.rich.ask("who", room="lobby")["nicks"]) == 3


def test_a_bug_in_the_welcome_ends_one_connection(
    address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Bystanders(address) as bystanders, Plain(address) as ann:
        with monkeypatch.context() as broken:
            broken.setattr(handlers, "welcome", None)
            ann.send(b'\x1e{"type":"hello","version":1,"client":"client-without-luck"}\0')
            (line,) = ann.rest()
        assert line.startswith(b"* geventchat: ")
        bystanders.check_heard()
        with Rich(address, client="client-without-luck") as again:
            assert texts(again.greeting)


def test_a_bug_after_the_welcome_ends_one_connection(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = chat.rich("Ann")
    with monkeypatch.context() as broken:
        broken.setattr(replay, "_send", None)
        bob = chat.track(Plain(chat.address))
        ann.say("lobby", "hello Bob")
        ann.posts(1)
        bob.send(b'\x1e{"type":"hello","version":1,"client":"client-without-luck"}\0')
        assert b'"code":"internal"' in bob.rest()[-1]
    ann.say("lobby", "still here")
    assert texts(ann.posts(1)) == ["still here"]


@pytest.mark.parametrize("kind", BUGS)
def test_a_plain_client_gets_a_line_when_a_bug_ends_its_connection(
    chat: Chat, monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]
) -> None:
    def fail(*_: object) -> NoReturn:
        raise kind("a secret of ours")

    one, other, third = chat.plain_clients(3)
    with monkeypatch.context() as broken:
        broken.setattr(Session, "submit", fail)
        one.send(b"hello\0")
        (line,) = one.rest()
    assert line.startswith(b"* geventchat: ")
    assert b"secret" not in line
    other.send(b"still here\0")
    assert third.frame() == b"still here"


def test_a_bug_while_leaving_still_closes_the_connection(
    chat: Chat, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> NoReturn:
        raise ValueError("a bug of ours")

    one, other = chat.plain_clients(2)
    with monkeypatch.context() as broken:
        broken.setattr(Hub, "remove", fail)
        one.send(b"q\0")
        assert one.rest() == []
    other.send(b"still here\0")
    chat.wait_accepted()
    assert "a bug of ours" in capfd.readouterr().err


def test_a_bug_does_not_stop_the_timers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The timers run each second, also after a bug; the only test that waits for them."""
    with chatting(clock=True, ping_seconds=1) as chat:
        struck = Event()

        def fail(*_: object) -> NoReturn:
            struck.set()
            raise ValueError("a bug of ours")

        with monkeypatch.context() as broken:
            broken.setattr(Session, "_ping", fail)
            ann = chat.rich("Ann", rooms=[])
            assert struck.wait(20)
        assert ann.event() == {"type": "ping"}
