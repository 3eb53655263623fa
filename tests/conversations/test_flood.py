"""Rate limits: a client that sends too quickly is throttled; no message is lost or delayed."""

import time
from collections.abc import Iterator
from contextlib import suppress

import gevent
import pytest

from tests.conversations.chat import Chat, chatting, drop
from tests.conversations.nodes import beside
from tests.conversations.peers import Bystanders, Plain, Rich, encode, of, texts

STRANGER = "127.0.0.9"


def wait_throttled(chat: Chat) -> None:
    """Wait until a client is throttled."""
    with gevent.Timeout(20):
        while not any(each._admission.counts["pauses"] for each in beside(chat.server)):
            gevent.sleep(0.001)


def send_all(peer: Plain, data: bytes) -> None:
    """Send until everything is sent or the server has closed."""
    with suppress(OSError):
        peer.send(data)


@pytest.fixture
def untrusting() -> Iterator[Chat]:
    """Return a server without trusted networks."""
    with chatting(options={"trust": ()}, messages_per_second=50) as chat:
        yield chat


def test_messages_sent_too_quickly_arrive_later_complete_and_in_order(untrusting: Chat) -> None:
    ann, bob = untrusting.rich_clients("Ann", "Bob")
    said = [str(number) for number in range(30)]
    began = time.monotonic()
    for text in said:
        ann.say("lobby", text)
    assert texts(bob.posts(30)) == said
    assert time.monotonic() - began > 25 / 50 - 0.1
    assert sum(each._admission.counts["pauses"] for each in beside(untrusting.server)) >= 10
    assert texts(ann.pong()) == said


@pytest.mark.parametrize("dropped", [True, False])
def test_reconnecting_does_not_reset_the_rate_limit(untrusting: Chat, dropped: bool) -> None:
    ann = untrusting.rich("Ann")
    began = time.monotonic()
    for number in range(8):
        again = untrusting.rich("Ann", client=ann.client)
        for text in range(4):
            again.say("lobby", f"{number}.{text}")
        assert len(again.posts(4)) == 4
        if dropped:
            drop(again)
    assert time.monotonic() - began > (8 * 5 - 5) / 50 - 0.1


def test_a_plain_client_is_paused_too(untrusting: Chat) -> None:
    flooder, hearer = untrusting.plain_clients(2)
    said = [b"%d" % number for number in range(30)]
    began = time.monotonic()
    flooder.send(b"\0".join(said) + b"\0q\0")
    assert hearer.frames(30) == said
    assert time.monotonic() - began > 25 / 50 - 0.1
    assert flooder.rest() == []


def test_a_large_message_counts_as_many(untrusting: Chat) -> None:
    flooder, hearer = untrusting.plain_clients(2)
    began = time.monotonic()
    flooder.send(b"x" * 60_000 + b"\0", b"after it\0")
    assert len(hearer.frames(2)) == 2
    assert time.monotonic() - began > 10 / 50 - 0.1


def test_empty_frames_count_like_any_other(untrusting: Chat) -> None:
    flooder, hearer = untrusting.plain_clients(2)
    began = time.monotonic()
    flooder.send(b"\0" * 30 + b"hello\0")
    assert hearer.frame() == b"hello"
    flooder.send(b"again\0")
    assert hearer.frame() == b"again"
    assert time.monotonic() - began > 25 / 50 - 0.1


def test_a_throttled_client_still_hears_the_others() -> None:
    with chatting(options={"trust": ()}, messages_at_once=2, messages_per_second=3) as chat:
        ann, bob = chat.rich_clients("Ann", "Bob")
        for _ in range(3):
            ann.say("lobby", "from ann")
        time.sleep(0.4)  # a token for bob
        bob.say("lobby", "from bob")
        assert "from bob" in texts(ann.posts(2) + ann.posts(1))


def test_while_a_client_is_paused_its_ping_clock_stands_still() -> None:
    with chatting(options={"trust": ()}, messages_at_once=2, messages_per_second=5) as chat:
        ann = chat.rich("Ann", rooms=[])
        for number in range(4):
            ann.tell("ping", id=str(number))
        wait_throttled(chat)
        for seconds in (30, 60, 90, 120):
            chat.advance_clock(seconds)
        heard = [ann.event() for _ in range(4)]
        assert [event["type"] for event in heard] == ["pong"] * 4


def test_only_a_client_that_keeps_its_buffer_full_for_long_is_closed() -> None:
    with (
        chatting(options={"trust": ("127.0.0.1/32",)}, flood_seconds=1) as chat,
        Bystanders(chat.address) as bystanders,
    ):
        rich = chat.track(Rich(chat.address, "Eve", rooms=["aside"], source=STRANGER))
        pasting = chat.track(Plain(chat.address, source=STRANGER))
        flooding = chat.track(Plain(chat.address, source=STRANGER))
        pasting.send(b"\0" * 10_000)
        gevent.spawn(send_all, flooding, b"\0" * 10_000_000)
        gevent.spawn(send_all, rich, b"{}\0" * 1_000_000)
        assert flooding.rest() == [b"* geventchat: Disconnected: sending too much too fast."]
        bye = rich.closing()[-1]
        assert (bye["code"], bye["reconnect"]) == ("flood", True)
        bystanders.check_heard()
        assert len(chat.sessions()) == 3


def test_a_shutdown_stores_messages_received_from_a_throttled_client() -> None:
    with chatting(options={"trust": ()}, messages_at_once=2, messages_per_second=1) as chat:
        ann, bob = chat.rich_clients("Ann", "Bob")
        ann.send(
            b"".join(
                encode({"type": "say", "room": "lobby", "text": str(number)})
                for number in range(50)
            )
        )
        bob.posts(1)
        wait_throttled(chat)
        began = time.monotonic()
        chat.server.request_stop()
        stopping = gevent.spawn(chat.server.stop)
        assert texts(bob.posts(49)) == [str(number) for number in range(1, 50)]
        for peer in (ann, bob):
            assert peer.closing()[-1]["code"] == "shutdown"
            peer.socket.close()
        stopping.join()
        chat._stopped = True
        assert time.monotonic() - began < 20  # at its rate it would take 49 s


def test_a_trusted_client_is_not_paused(chat: Chat) -> None:
    ann = chat.rich("Ann")
    for number in range(500):
        ann.say("lobby", str(number))
    assert len(of("post", ann.posts(500))) == 500
    assert not any(each._admission.counts for each in beside(chat.server))
