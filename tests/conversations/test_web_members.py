"""Members by the web door: seen, limited, pinged, resumed and closed like all others."""

import logging
import time
from typing import Any

import gevent
import pytest

from geventchat.server.ops.top import top
from tests.conversations.chat import drop
from tests.conversations.peers import Bystanders, Plain, Rich, Web, of, texts
from tests.conversations.web import (
    CONTINUATION,
    PING,
    TEXT,
    Raw,
    WebChat,
    frame,
    handshake,
    request,
    say,
    text,
    web_chatting,
)

STRANGER = "127.0.0.9"


def test_the_log_and_the_metrics_name_the_door(
    web: WebChat, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert b'opened_total{door="web"} 0.0' in web.server._metrics.text()
    ann = web.raw()
    ann.ask(request())
    assert b'opened_total{door="web"} 0.0' in web.server._metrics.text()
    ann.hello(nick="Ann")
    text_of_metrics = web.server._metrics.text()
    assert b'geventchat_connections_opened_total{door="web"} 1.0' in text_of_metrics
    assert b'geventchat_connections{door="web",kind="rich"} 1.0' in text_of_metrics
    ann.send(text({"type": "bye"}))
    ann.ending()
    ann.socket.close()
    with gevent.Timeout(20):
        while web.sessions():
            gevent.sleep(0.001)
    assert b'geventchat_connections_closed_total{reason="quit"} 1.0' in web.server._metrics.text()
    assert [record.getMessage() for record in caplog.records] == [
        "guest-1 connected from 127.0.0.1, 1 client online",
        "guest-1 is now known as Ann",
        "Ann disconnected (quit), 0 clients online",
    ]


@pytest.mark.parametrize("data", [frame(7), frame(2), text("{}"), frame(TEXT, b"\xff")])
def test_one_that_breaks_the_protocol_before_hello_is_a_rejection(
    web: WebChat, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    peer = web.raw()
    peer.upgrade()
    peer.send(data)
    peer.ending()
    peer.socket.close()
    with gevent.Timeout(20):
        while web.server._admission.readers:
            gevent.sleep(0.001)
    assert web.server.rejections.counts.total() == 1
    assert "connected from" not in caplog.text


def test_a_request_cannot_forge_a_line_of_the_log(
    web: WebChat, caplog: pytest.LogCaptureFixture
) -> None:
    for data in (
        request(Host="a\tb"), request("GET /\x1b[2J HTTP/1.1"), handshake(Origin="x\x9b2J"),
        request(X="a\r\n\x9b31m ERROR"),
    ):  # fmt: skip
        web.raw().ask(data)
    web.stop()
    for record in caplog.records:
        assert record.getMessage().isprintable(), record


def test_silent_members_are_pinged_and_then_closed(web: WebChat) -> None:
    answering, silent = web.member(rooms={}), web.member(rooms={})
    web.advance_clock(30)
    assert [peer.event() for peer in (answering, silent)] == [{"type": "ping"}] * 2
    answering.send(frame(PING))  # whatever comes is a sign of life
    assert answering.server_frame()[0] == 10
    with gevent.Timeout(20):
        while max(session.link.heard for session in web.sessions()) < time.monotonic() - 1:  # type: ignore[attr-defined]
            gevent.sleep(0.001)
    heard = min(session.link.heard for session in web.sessions())  # type: ignore[attr-defined]
    web.server._hub.tick(heard + 60.0001)
    ending = silent.ending()
    assert (ending.bye, ending.code) == ("idle", 1008)
    assert answering.barrier() == []


@pytest.mark.parametrize(
    "data",
    [text(say("x"))[:1], text(say("x"))[:-1], frame(TEXT, b"{", fin=False)],
    ids=["a head", "all but a byte", "a fragment"],
)
def test_an_incomplete_message_has_thirty_seconds(web: WebChat, data: bytes) -> None:
    with Bystanders(web.address) as bystanders:
        member = web.member()
        member.send(frame(PING) + data)
        member.server_frame()
        bystanders.rich.pong()
        web.advance_clock(29)
        web.advance_clock(31)
        ending = member.ending()
        assert (ending.bye, ending.code) == ("idle", 1008)
        assert "30 seconds" in ending.events[-1]["text"]
        bystanders.check_heard()


def test_pings_between_fragments_buy_no_time(web: WebChat) -> None:
    member = web.member()
    for opcode, data in ((TEXT, b"{"), (PING, b"1"), (CONTINUATION, b" "), (PING, b"2")):
        member.send(frame(opcode, data, fin=opcode == PING))
        if opcode == PING:
            member.server_frame()
    web.advance_clock(31)
    assert member.ending().bye == "idle"


def test_a_lost_connection_resumes_without_loss_or_doubles(web: WebChat) -> None:
    bob, client = web.rich("Bob"), "client-that-loses-it"
    ann = web.track(Web(web.web_address, "Ann", client=client))
    epoch = of("joined", ann.greeting)[0]["epoch"]
    bob.say("lobby", "one")
    (post,) = ann.posts(1)
    drop(ann)
    bob.say("lobby", "two")
    bob.posts(2)
    rooms = {"lobby": {"epoch": epoch, "position": post["position"]}}
    again = web.track(Web(web.web_address, client=client, rooms=rooms))
    assert again.nick == "Ann"
    assert of("joined", again.greeting)[0]["recovered"] is True
    assert texts(again.greeting) == ["two"]


@pytest.mark.parametrize("first", [Web, Rich])
@pytest.mark.parametrize("second", [Web, Rich])
def test_one_client_may_come_back_by_the_other_door(
    web: WebChat, first: type[Rich], second: type[Rich]
) -> None:
    addresses = {Web: web.web_address, Rich: web.address}
    client = "client-with-two-tabs"
    old = web.track(first(addresses[first], "Ann", client=client))
    new = web.track(second(addresses[second], client=client))
    assert new.nick == "Ann"
    byes = of("bye", old.closing())
    assert [(bye["code"], bye["reconnect"]) for bye in byes] == [("replaced", False)]


def test_a_slow_reader_is_closed_and_bounded_and_shown() -> None:
    with web_chatting(outbox_bytes=64 << 10) as web, Bystanders(web.address) as bystanders:
        slow, said, sizes = web.slow(), [], []
        slow.hello(nick="Slow")
        for number in range(200):
            said.append(f"{number} " + "x" * 8_000)
            bystanders.plain.send(said[-1].encode() + b"\0")
            bystanders.rich.posts(1)
            sizes.append(max(session.outbox.size for session in web.sessions()))
            names = {client.nick for client in top(web.server._hub).clients}
            assert names <= {"Slow"}
        assert 32 << 10 < max(sizes) <= 64 << 10
        assert sizes[-1] == 0
        ending = slow.ending()
        assert (ending.bye, ending.code, ending.reason) == ("slow", 4000, "slow")
        assert texts(ending.events) == said[: len(texts(ending.events))]


def test_a_flood_of_pings_to_one_who_reads_nothing_is_bounded() -> None:
    with web_chatting(outbox_bytes=64 << 10) as web, Bystanders(web.address) as bystanders:
        slow = web.slow()
        slow.hello()
        pings = frame(PING, b"x" * 125) * 1_000
        sending = gevent.spawn(slow.socket.sendall, pings * 100)
        with gevent.Timeout(20):
            while len(web.sessions()) == 3:
                assert max(session.outbox.size for session in web.sessions()) <= 64 << 10
                gevent.sleep(0.001)
        sending.kill()
        bystanders.check_heard()


def flood(peer: Raw, data: bytes) -> Any:
    """Send this again and again, in a greenlet, until the server closes."""

    def send() -> None:
        try:
            while True:
                peer.socket.sendall(data)
        except OSError:
            pass

    return gevent.spawn(send)


FLOODS = {
    "pings": frame(PING, b"x") * 5_000,
    "pongs": frame(10) * 5_000,
    "empty messages": frame(TEXT) * 5_000,
    "empty fragments": frame(CONTINUATION, fin=False) * 5_000,
    "messages": text({"type": "ping"}) * 1_000,
}


@pytest.mark.parametrize("kind", ["pings", "empty messages", "empty fragments", "messages"])
def test_a_flood_from_a_stranger_is_read_slowly_and_closed_in_the_end(kind: str) -> None:
    options = {"trust": ("127.0.0.1/32",)}
    with (
        web_chatting(options=options, flood_seconds=1) as web,
        Bystanders(web.address) as bystanders,
    ):
        peer = web.track(Raw(web.web_address, source=STRANGER))
        peer.hello()
        if "fragments" in kind:
            peer.send(frame(TEXT, fin=False))
        sending = flood(peer, FLOODS[kind])
        remains = peer.remains()
        sending.kill()
        assert b'"code":"flood"' in remains
        assert remains.endswith(b"\x03\xf0flood")  # 1008
        bystanders.check_heard()


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_from_a_trusted_network_delays_nobody(
    web: WebChat, web_bystanders: Bystanders, kind: str
) -> None:
    peer = web.member()
    if "fragments" in kind:
        peer.send(frame(TEXT, fin=False))
    sending = flood(peer, FLOODS[kind])
    reading = gevent.spawn(peer.remains)
    for _ in range(20):
        web_bystanders.check_heard()
        gevent.sleep(0.01)
    gevent.killall([sending, reading])


def test_a_large_message_counts_as_many_and_pings_count_too() -> None:
    with web_chatting(options={"trust": ()}, messages_per_second=50) as web:
        member, hearer = web.member(), web.track(Plain(web.address, source=STRANGER))
        web.wait_accepted()
        began = time.monotonic()
        member.send(text(say("x" * 60_000)), frame(PING) * 10, text(say("after it")))
        assert len(hearer.frames(2)) == 2
        member.send(text({"type": "ping", "id": "last"}))
        while b'"last"' not in member.server_frame()[1]:
            pass
        assert time.monotonic() - began > 20 / 50 - 0.1
