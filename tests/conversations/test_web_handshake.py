"""The handshake of a WebSocket: who may open one, and how fast they have to be."""

import logging
from collections.abc import Iterator

import gevent
import pytest

from tests.conversations.chat import drop
from tests.conversations.peers import Bystanders
from tests.conversations.web import (
    ACCEPT,
    WebChat,
    close,
    frame,
    handshake,
    request,
    text,
    trickled,
    web_chatting,
)


def test_a_handshake_is_answered_as_in_the_rfc(web: WebChat, web_bystanders: Bystanders) -> None:
    response = web.raw().upgrade(
        Sec_WebSocket_Protocol="other, geventchat.v1",
        Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits=99, x-webkit-deflate",
    )
    assert response.fields["sec-websocket-accept"] == ACCEPT
    assert response.fields["sec-websocket-protocol"] == "geventchat.v1"
    assert "sec-websocket-extensions" not in response.fields
    web_bystanders.check_heard()


def test_a_client_that_names_no_subprotocol_gets_none(web: WebChat) -> None:
    assert "sec-websocket-protocol" not in web.raw().upgrade().fields


@pytest.mark.parametrize(
    "fields",
    [
        {"Upgrade": "WebSocket", "Connection": "keep-alive, Upgrade"},
        {"Connection": "upgrade"},
        {"Origin": "http://localhost", "Host": "LOCALHOST:80"},
        {"Origin": "http://[::1]:8040", "Host": "[::1]:8040"},
    ],
)
def test_a_handshake_may_be_written_in_other_ways(web: WebChat, fields: dict[str, str]) -> None:
    web.raw().upgrade(**fields)


REFUSED = {
    "no upgrade": ({"Upgrade": None}, 426),
    "another upgrade": ({"Upgrade": "h2c"}, 426),
    "two upgrades": ({"Upgrade": "websocket, h2c"}, 426),
    "no connection": ({"Connection": None}, 426),
    "another connection": ({"Connection": "keep-alive"}, 426),
    "no key": ({"Sec_WebSocket_Key": None}, 400),
    "a short key": ({"Sec_WebSocket_Key": "c2hvcnQ="}, 400),
    "a key that is no base64": ({"Sec_WebSocket_Key": "?" * 24}, 400),
    "two keys": ({"Sec_WebSocket_Key": f"{ACCEPT}\r\nSec-WebSocket-Key: {ACCEPT}"}, 400),
    "no version": ({"Sec_WebSocket_Version": None}, 400),
    "an old version": ({"Sec_WebSocket_Version": "8"}, 400),
    "two versions": ({"Sec_WebSocket_Version": "13, 8"}, 400),
    "another subprotocol": ({"Sec_WebSocket_Protocol": "mqtt"}, 400),
    "a malformed subprotocol": ({"Sec_WebSocket_Protocol": "a b"}, 400),
    "a foreign origin": ({"Origin": "https://evil.example"}, 403),
    "the null origin": ({"Origin": "null"}, 403),
    "a longer origin": ({"Origin": "http://localhost.evil.example"}, 403),
    "an origin with another port": ({"Origin": "http://localhost:8041"}, 403),
    "two origins": ({"Origin": "http://localhost\r\nOrigin: http://localhost"}, 400),
    "a foreign host": ({"Host": "evil.example"}, 421),
    "DNS rebinding": ({"Host": "evil.example:8040", "Origin": "http://evil.example:8040"}, 421),
}


@pytest.mark.parametrize(("fields", "status"), REFUSED.values(), ids=REFUSED)
def test_a_handshake_that_is_wrong_or_not_allowed_is_refused(
    web: WebChat, web_bystanders: Bystanders, fields: dict[str, str | None], status: int
) -> None:
    peer = web.raw()
    response = peer.ask(handshake("GET /ws HTTP/1.1", **fields))
    assert (response.status, response.fields["connection"]) == (status, "close")
    assert len(response.text) < 300
    assert peer.remains() == b""
    web_bystanders.check_heard()


def test_a_refused_handshake_says_which_version_is_spoken(web: WebChat) -> None:
    response = web.raw().ask(handshake(Sec_WebSocket_Version="14"))
    assert response.fields["sec-websocket-version"] == "13"
    response = web.raw().ask(request("GET /ws HTTP/1.1"))
    assert (response.status, response.fields["upgrade"]) == (426, "websocket")


@pytest.mark.parametrize(("method", "status"), [("HEAD", 405), ("POST", 405)])
def test_only_a_get_opens_a_websocket(web: WebChat, method: str, status: int) -> None:
    assert web.raw().ask(handshake(f"{method} /ws HTTP/1.1"), head_only=True).status == status
    assert web.raw().ask(handshake("GET /ws HTTP/1.0")).status == 505


@pytest.mark.parametrize("path", ["/", "/ws/", "/chat", "/healthz"])
def test_a_websocket_is_only_at_its_path(web: WebChat, path: str) -> None:
    assert web.raw().ask(handshake(f"GET {path} HTTP/1.1")).status in (200, 404)


@pytest.mark.parametrize("early", [text("{}"), frame(9), close(1000), b"\x81"])
def test_what_comes_before_the_answer_is_refused(
    web: WebChat, web_bystanders: Bystanders, early: bytes
) -> None:
    peer = web.raw()
    response = peer.ask(handshake() + early)
    assert (response.status, peer.remains()) == (400, b"")
    web_bystanders.check_heard()


def test_hosts_and_origins_are_settings() -> None:
    options = {"web_host": ("chat.example",), "web_origin": ("https://app.example",)}
    with web_chatting(options=options) as web:
        web.raw().upgrade(Host="chat.example", Origin="https://chat.example")
        web.raw().upgrade(Host="localhost", Origin="https://app.example")
        assert web.raw().ask(handshake(Host="other.example")).status == 421
        assert web.raw().ask(handshake(Origin="https://other.example")).status == 403


@pytest.fixture
def hasty() -> Iterator[WebChat]:
    """Return a server that gives little time for a handshake."""
    with web_chatting(handshake_seconds=1) as web:
        yield web


def test_a_slow_or_silent_handshake_ends_in_time(
    hasty: WebChat, caplog: pytest.LogCaptureFixture
) -> None:
    with Bystanders(hasty.address) as bystanders:
        silent, begun, dripping, idle = (hasty.raw() for _ in range(4))
        assert idle.ask(request()).status == 200
        begun.send(b"GET / HTTP/1.1\r\nHost: ")
        drip = gevent.spawn(
            dripping.trickle, *trickled(handshake()), read=lambda: gevent.sleep(0.1)
        )
        with gevent.Timeout(20):
            assert [peer.remains() for peer in (silent, begun, dripping, idle)] == [b""] * 4
        drip.kill()
        bystanders.check_heard()
    with gevent.Timeout(20):
        while hasty.server._admission.readers:
            gevent.sleep(0.001)
    assert hasty.server.rejections.counts == {"handshake": 2}


def test_hello_is_due_in_time() -> None:
    with web_chatting(hello_seconds=2) as web, Bystanders(web.address) as bystanders:
        silent, pinging = web.raw(), web.raw()
        for peer in (silent, pinging):
            peer.upgrade()
        pinging.send(frame(9) + text(""))
        for peer in (silent, pinging):
            ending = peer.ending()
            assert (ending.bye, ending.code) == ("idle", 1008)
            assert ending.events[-1]["reconnect"] is True
        bystanders.check_heard()


def test_a_health_check_and_a_visit_leave_no_line_and_no_guest(
    web: WebChat, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for _ in range(3):
        connected, reset, visitor, leaving, gone = (web.raw() for _ in range(5))
        connected.socket.close()
        drop(reset)
        assert visitor.ask(request()).status == 200
        visitor.socket.close()
        assert leaving.ask(request("GET /healthz HTTP/1.1")).status == 200
        drop(leaving)
        gone.send(request("GET /healthz HTTP/1.0"))
        drop(gone)
    with gevent.Timeout(20):
        while web.server._admission.readers:
            gevent.sleep(0.001)
    assert web.server.rejections.counts == {}
    assert [record.getMessage() for record in caplog.records] == []
    assert web.server._hub.opens["web"] == 0
