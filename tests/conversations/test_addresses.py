"""Limits per address: excess connections are rejected with the reason."""

import logging
import socket
import time
from pathlib import Path

import gevent
import pytest

from geventchat.server.access.rate_limits import RETURNS_PER_MINUTE
from tests.conversations.chat import Chat, chatting, drop
from tests.conversations.peers import Bystanders, Plain, Rich, of

STRANGER = "127.0.0.9"
NOBODY = {"trust": ()}


def connect_briefly(chat: Chat, source: str = STRANGER, said: bytes = b"q\0") -> list[bytes]:
    """Connect from an address, say this, and return what was received before the end."""
    with Plain(chat.address, source=source) as peer:
        peer.send(said)
        peer.shut()
        return peer.rest()


def wait_connections(chat: Chat, number: int) -> None:
    """Wait until no more than that many connections are left."""
    with gevent.Timeout(20):
        while len(chat.server._admission.readers) > number:
            gevent.sleep(0.001)


def test_an_address_over_its_connection_limit_is_rejected_and_others_are_not() -> None:
    with (
        chatting(options=NOBODY, connections_per_address=2) as chat,
        Bystanders(chat.address) as bystanders,
    ):
        here = [Rich(chat.address, source=STRANGER) for _ in range(2)]
        (line,) = connect_briefly(chat)
        assert line.startswith(b"* geventchat: Too many connections from your address.")
        assert connect_briefly(chat, "127.0.0.8") == []
        here[0].socket.close()
        wait_connections(chat, 3)
        assert connect_briefly(chat) == []
        bystanders.check_heard()
        assert chat.server.rejections.counts == {"address": 1}
        here[1].socket.close()


def test_an_address_that_connects_too_often_is_asked_to_wait() -> None:
    with (
        chatting(options=NOBODY, arrivals_per_minute=5) as chat,
        Bystanders(chat.address) as bystanders,
    ):
        assert [connect_briefly(chat) for _ in range(5)] == [[]] * 5
        (line,) = connect_briefly(chat)
        assert line.startswith(b"* geventchat: Too many connection attempts from your address.")
        assert connect_briefly(chat, "127.0.0.8") == []
        bystanders.check_heard()
        assert chat.server.rejections.counts == {"arrivals": 1}


def test_a_reconnecting_client_is_not_counted_as_a_new_connection() -> None:
    with chatting(options=NOBODY, arrivals_per_minute=3) as chat:
        client = "client-that-comes-back"
        for _ in range(5):
            with Rich(chat.address, client=client, source=STRANGER) as ann:
                ann.pong()
        assert [connect_briefly(chat) for _ in range(2)] == [[]] * 2
        assert len(connect_briefly(chat)) == 1


def test_a_health_check_takes_no_place_of_a_user_and_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with (
        caplog.at_level(logging.DEBUG),
        chatting(options=NOBODY, arrivals_per_minute=5) as chat,
        Bystanders(chat.address) as bystanders,
    ):
        caplog.clear()
        for number in range(30):
            if number % 2:
                assert connect_briefly(chat, said=b"") == []
            else:
                drop(Plain(chat.address, source=STRANGER))
        wait_connections(chat, 2)
        assert caplog.text == ""
        assert chat.server.rejections.counts == {}
        bystanders.check_heard()
        assert bystanders.rich.pong() == []
        with Plain(chat.address, source=STRANGER) as user:
            user.send(b"here I am\0")
            bystanders.check_heard("here I am")


def test_endless_silent_connections_are_counted_in_the_end() -> None:
    with chatting(options=NOBODY, arrivals_per_minute=5) as chat:
        limiter = chat.server._policy.limiter
        for _ in range(RETURNS_PER_MINUTE):
            limiter.forgive(STRANGER, time.monotonic())
        assert [len(connect_briefly(chat, said=b"")) for _ in range(6)] == [0, 0, 0, 0, 0, 1]


def test_a_health_check_takes_no_number_of_a_guest(chat: Chat) -> None:
    ann = chat.rich("Ann")
    for _ in range(5):
        connect_briefly(chat, said=b"")
    with Plain(chat.address) as plain:
        plain.send(b"hi\0")
        assert ann.posts(1)[0]["author"] == "guest-2"


def test_after_a_restart_all_come_back_at_once(tmp_path: Path) -> None:
    timeline, options = f"sqlite:{tmp_path}/chat.db", {**NOBODY, "admin": "none", "web": "none"}
    with chatting(timeline, options=options) as chat:
        (joined,) = of("joined", chat.track(Rich(chat.address, source=STRANGER)).greeting)
    cursor = {"epoch": joined["epoch"], "position": joined["position"]}
    with chatting(timeline, options=options, arrivals_per_minute=3) as chat:
        for _ in range(10):
            chat.track(Rich(chat.address, rooms={"lobby": cursor}, source=STRANGER))
        for _ in range(3):
            other = {"epoch": "of-another-server", "position": 1}
            chat.track(Rich(chat.address, rooms={"lobby": other}, source=STRANGER))
        assert len(connect_briefly(chat)) == 1


def test_an_address_may_open_at_most_a_quarter_of_the_rooms() -> None:
    with chatting(options=NOBODY, rooms=8) as chat:
        ann = chat.track(Rich(chat.address, rooms=["a", "b", "c"], source=STRANGER))
        assert [event["room"] for event in of("joined", ann.greeting)] == ["a", "b"]
        (error,) = of("error", ann.greeting)
        assert (error["code"], error["room"]) == ("too_many_rooms", "c")
        bob = chat.track(Rich(chat.address, rooms=["c", "d"], source="127.0.0.8"))
        assert len(of("joined", bob.greeting)) == 2
        assert ann.ask("join", room="c")["type"] == "joined"
        assert ann.ask("join", room="e")["code"] == "too_many_rooms"
        assert ann.ask("leave", room="a")["type"] == "left"
        assert ann.ask("join", room="e")["type"] == "joined"


def test_trusted_networks_are_not_counted() -> None:
    with chatting(
        options={"trust": ("127.0.0.9/32",)}, arrivals_per_minute=3, connections_per_address=3
    ) as chat:
        here = [chat.track(Rich(chat.address, source=STRANGER)) for _ in range(10)]
        assert here[-1].ask("who", room="lobby")["count"] == 10
        assert [len(connect_briefly(chat, "127.0.0.8")) for _ in range(5)] == [0, 0, 0, 1, 1]


def test_a_full_server_rejects_trusted_networks_too() -> None:
    with chatting(connections=2) as chat:
        here = chat.rich_clients("Ann", "Bob")
        (line,) = connect_briefly(chat)
        assert b"full" in line
        assert here[0].pong() == []


def test_an_incomplete_frame_ends_its_connection_after_30_seconds(chat: Chat) -> None:
    """Even if bytes of it keep arriving. A client between frames may be silent without limit."""
    silent, dripping = chat.plain_clients(2)
    rich = chat.rich(rooms=[])
    dripping.send(b"hel")
    rich.send(b'{"type":')
    chat.wait_accepted()
    chat.advance_clock(29)
    dripping.send(b"l")
    chat.wait_accepted()
    chat.advance_clock(29)
    dripping.send(b"o\0hel")  # another one
    assert silent.frame() == b"hello"
    chat.advance_clock(31)
    (line,) = dripping.rest()
    assert line.startswith(b"* geventchat: Message not completed within 30 seconds. ")
    assert rb"printf 'hi\0'" in line
    bye = rich.closing()[-1]
    assert (bye["code"], bye["reconnect"]) == ("idle", True)
    chat.advance_clock(1_000)
    silent.send(b"I am here\0q\0")
    assert silent.rest() == []


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the system has none")
def test_tcp_keepalive_detects_a_vanished_peer_within_90_seconds(chat: Chat) -> None:
    chat.plain()
    session = next(iter(chat.sessions()))
    sock = session.link.sink._sock  # type: ignore[attr-defined]
    idle, each, count, unheard = (
        sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
        for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
    )
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert idle + each * count == 90
    assert unheard == 90_000
