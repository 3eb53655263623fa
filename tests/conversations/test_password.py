"""A password: a client without it receives nothing and is invisible to the others."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from geventchat.config import Limits
from tests.conversations.chat import Chat, chatting, drop
from tests.conversations.control import Control
from tests.conversations.peers import Plain, Rich, of, texts

PASSWORD: Final = "corréct horse"
NEEDS: Final = b"* geventchat: This server requires a password."


@pytest.fixture
def protected() -> Iterator[Chat]:
    """Return a server with a password."""
    with chatting(options={"password": PASSWORD}) as chat:
        yield chat


def member(chat: Chat, nick: str | None = None, **options: Any) -> Rich:
    """Connect a client with the password."""
    return chat.rich(nick, password=PASSWORD, **options)


def test_the_right_password_is_accepted(protected: Chat) -> None:
    ann, bob = member(protected, "Ann"), member(protected, "Bob")
    ann.say("lobby", "hello")
    assert texts(bob.posts(1)) == ["hello"]


@pytest.mark.parametrize("password", [None, "", PASSWORD[:-1], f"{PASSWORD} ", "CORRÉCT HORSE"])
def test_a_wrong_or_missing_password_ends_the_connection_with_the_reason(
    protected: Chat, password: str | None
) -> None:
    ann = member(protected, "Ann")
    (bye,) = protected.refused(nick="Eve", password=password)
    assert (bye["type"], bye["code"], bye["reconnect"]) == ("bye", "password", False)
    assert ann.pong() == []
    assert [session.nick for session in protected.sessions()] == ["Ann"]


def test_a_wrong_password_is_logged_as_a_rejection_and_not_as_a_connection(
    protected: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "geventchat")
    member(protected, "Ann")
    protected.refused(password="wrong")
    protected.stop()
    lines = [record.getMessage() for record in caplog.records]
    assert "rejected a connection (password=1, last from 127.0.0.1)" in lines
    assert [line for line in lines if " connected " in line] == [
        "guest-1 connected from 127.0.0.1, 1 client online"
    ]


def test_a_plain_client_is_rejected_and_its_messages_reach_nobody(protected: Chat) -> None:
    ann = member(protected, "Ann")
    plain = protected.track(Plain(protected.address))
    plain.send(b"let me in\0and hear me\0")
    assert plain.rest() == [NEEDS]
    assert ann.pong() == []
    assert ann.ask("history", room="lobby", limit=5)["posts"] == []


@pytest.mark.parametrize(
    "sent",
    [
        b"x" * 65_536,
        bytes(65_536),
        b"\xff\0" * 5,
        b'{"type":"say","room":"lobby","text":"hear me"}\0',
        b'\x1e{"type":"say","room":"lobby","text":"hear me"}\0',
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=lambda sent: repr(sent[:20]),
)
def test_frames_before_hello_reach_nobody(protected: Chat, sent: bytes) -> None:
    ann = member(protected, "Ann")
    with Control(protected.address, password=PASSWORD), Plain(protected.address) as eve:
        eve.send(sent)
        eve.shut()
        eve.rest()
        assert ann.pong() == []
    assert ann.ask("history", room="lobby", limit=5)["posts"] == []


def test_a_connection_before_hello_receives_nothing_and_is_not_counted(protected: Chat) -> None:
    ann, bob = member(protected, "Ann"), member(protected, "Bob")
    silent = protected.track(Plain(protected.address))
    member(protected, rooms=[])  # by then the silent one would have been accepted
    protected.advance_clock(2)
    ann.say("lobby", "a secret")
    assert texts(bob.posts(1)) == ["a secret"]
    assert ann.ask("who", room="lobby")["nicks"] == ["Ann", "Bob"]
    silent.shut()
    assert silent.rest() == []
    assert of("presence", bob.pong()) == []


def test_a_connection_without_hello_is_closed_after_ten_seconds() -> None:
    assert Limits().hello_seconds == 10
    with chatting(options={"password": PASSWORD}, hello_seconds=2) as protected:
        ann = member(protected, "Ann")
        silent, slow = (
            protected.track(Plain(protected.address)),
            protected.track(Plain(protected.address)),
        )
        slow.send(b'\x1e{"type":"hel')
        assert silent.rest() == [NEEDS]
        assert slow.rest() == [NEEDS]
        assert ann.pong() == []


def test_an_invalid_hello_is_rejected_as_without_a_password(protected: Chat) -> None:
    plain = protected.track(Plain(protected.address))
    plain.send(b'\x1e{"type":"say","room":"lobby","text":"hello"}\0')
    error, bye = plain.rest()
    assert b'"forbidden"' in error
    assert b'"protocol"' in bye


def test_a_wrong_password_does_not_replace_an_open_connection(protected: Chat) -> None:
    ann = member(protected, "Ann")
    protected.refused(client=ann.client, password="wrong")
    assert ann.pong() == []


def test_wrong_passwords_are_limited_per_minute_and_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with chatting(options={"password": PASSWORD, "trust": ()}) as protected:
        ann = member(protected, "Ann")
        for _ in range(5):
            (bye,) = protected.refused(password="wrong")
            assert bye["text"] == "Wrong password."
        for password in ("wrong", PASSWORD):
            (bye,) = protected.refused(password=password)
            assert (bye["code"], bye["text"][:17]) == ("password", "Too many wrong at")
        assert member(protected, "Bob", source="127.0.0.9").nick == "Bob"
        assert ann.pong()[-1]["nick"] == "Bob"


def test_wrong_passwords_of_others_do_not_lock_out_a_known_client() -> None:
    with chatting(options={"password": PASSWORD, "trust": ()}) as protected:
        ann, bob = member(protected, "Ann"), member(protected, "Bob")
        drop(ann)
        protected.wait_disconnected(ann)
        for _ in range(6):
            protected.refused(password="wrong")
        assert member(protected, client=ann.client).nick == "Ann"
        assert member(protected, client=bob.client).nick == "Bob"
        (bye,) = protected.refused(password="wrong", client=ann.client)
        assert bye["text"] == "Wrong password."


def test_a_missing_password_does_not_count_as_a_wrong_one(protected: Chat) -> None:
    with chatting(options={"password": PASSWORD, "trust": ()}) as protected:
        for _ in range(9):
            protected.refused()
        assert member(protected, "Ann").nick == "Ann"


def test_a_trusted_network_has_no_limit_of_wrong_passwords(protected: Chat) -> None:
    for _ in range(9):
        protected.refused(password="wrong")
    assert member(protected, "Ann").nick == "Ann"


def test_operators_need_no_password(tmp_path: Path) -> None:
    file = tmp_path / "operator"
    file.write_text("the-token-of-a-test")
    options = {"password": PASSWORD, "operator_file": str(file)}
    with chatting(options=options) as protected:
        assert protected.rich("Olga", token="the-token-of-a-test").nick == "Olga"
        (bye,) = protected.refused(token="wrong")
        assert bye["code"] == "password"


def test_a_password_is_ignored_by_a_server_without_one(chat: Chat) -> None:
    assert chat.rich("Ann", password="whatever").nick == "Ann"
