"""Behind a web proxy each request has its own client, which pages and WebSockets have in common.

The proxy's address is 127.0.0.2; clients that come directly have 127.0.0.1.
"""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gevent
import pytest

from geventchat.config import Limits
from geventchat.server import admission
from tests.conversations.certificates import Authority
from tests.conversations.operators import TOKEN
from tests.conversations.peers import Bystanders
from tests.conversations.web import Raw, WebChat, handshake, request, say, text, web_chatting

PROXY = "127.0.0.2"
BEHIND = {"web_proxy": (f"{PROXY}/32",), "trust": ("127.0.0.1/32", f"{PROXY}/32")}
ANN, BOB = "192.0.2.1", "192.0.2.2"
HEADER = b"PROXY TCP4 192.0.2.1 192.0.2.9 5555 4040\r\n"
UNKNOWN = b"PROXY UNKNOWN\r\n"


@pytest.fixture
def behind() -> Iterator[WebChat]:
    """Return a server that trusts the proxy's address and its own, but nobody else's."""
    with web_chatting(options=BEHIND) as chat:
        yield chat


def proxied(chat: WebChat, before: bytes = b"") -> Raw:
    """Connect from the proxy, which sends this first."""
    peer = chat.raw(source=PROXY)
    peer.send(before)
    return peer


def member(chat: WebChat, *, before: bytes = b"", nick: str = "Ann", **fields: Any) -> Raw:
    """Open a WebSocket through the proxy with these fields, and join the lobby."""
    peer = proxied(chat, before)
    peer.upgrade(**fields)
    peer.send(text({"type": "hello", "version": 1, "client": nick.ljust(16, "x"), "nick": nick}))
    peer.barrier()
    return peer


def address_of(chat: WebChat, nick: str = "Ann") -> str:
    (address,) = [each.address for each in chat.sessions() if each.nick == nick]
    return address


def wait_over(chat: WebChat) -> None:
    """Wait until no connection is there."""
    with gevent.Timeout(20):
        while chat.server._admission.readers or chat.server._doors[1]._proxies._waiting:
            gevent.sleep(0.001)


@pytest.mark.parametrize(
    ("fields", "address"),
    [
        ({"X_Forwarded_For": ANN}, ANN),
        ({"X_Forwarded_For": f"6.6.6.6, {ANN}:443, {PROXY}"}, ANN),
        ({"Forwarded": f'for=6.6.6.6, for="{ANN}:443";proto=https'}, ANN),
        ({"Forwarded": 'for="[2001:db8::1]:443"'}, "2001:db8::1"),
        ({"X_Forwarded_For": ANN, "Forwarded": f"for={ANN}"}, ANN),
        ({}, PROXY),
        ({"X_Forwarded_For": f"{ANN}, unknown"}, PROXY),
        ({"X_Forwarded_For": PROXY}, PROXY),
        ({"Forwarded": "for=_hidden"}, PROXY),
    ],
)
def test_a_websocket_has_the_address_that_the_proxy_names_else_the_proxys_and_is_not_trusted(
    behind: WebChat, fields: dict[str, Any], address: str
) -> None:
    member(behind, **fields)
    (session,) = behind.sessions()
    assert session.address == address
    assert session.pace is not None


def test_whom_nobody_else_than_a_proxy_names_is_ignored(behind: WebChat) -> None:
    peer = behind.raw()
    peer.upgrade(X_Forwarded_For=ANN, Forwarded=f"for={BOB}")
    peer.send(text({"type": "hello", "version": 1, "client": "x" * 16}))
    peer.barrier()
    (session,) = behind.sessions()
    assert session.address == "127.0.0.1"
    other = behind.raw()
    assert other.ask(request(Host="chat.example.org", X_Forwarded_Host="localhost")).status == 421
    header = behind.raw()
    assert header.ask(HEADER + request()).status == 400


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_a_proxy_header_may_come_first_and_then_fields_are_the_clients_own(
    behind: WebChat, size: int
) -> None:
    peer = behind.raw(source=PROXY)
    said = HEADER + handshake(X_Forwarded_For=BOB)
    with Bystanders(behind.address) as bystanders:
        pieces = [said[at : at + size] for at in range(0, len(said), size)]
        peer.trickle(*pieces, read=bystanders.rich.pong)
        assert peer.response().status == 101
        peer.send(text({"type": "hello", "version": 1, "client": "x" * 16, "nick": "Ann"}))
        peer.barrier()
        assert address_of(behind) == ANN
    member(behind, before=UNKNOWN, nick="Bob", X_Forwarded_For=BOB)
    assert address_of(behind, "Bob") == PROXY
    other = f"PROXY TCP4 {PROXY} 192.0.2.9 1 2\r\n".encode()  # one proxy before another
    member(behind, before=other, nick="Cy", X_Forwarded_For="192.0.2.3")
    assert address_of(behind, "Cy") == "192.0.2.3"


def test_over_tls_either_the_header_or_the_fields_name_the_client(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with web_chatting(options=BEHIND | {"tls_cert": authority.issue("server")}) as chat:
        for nick, header, named in (("Ann", HEADER, BOB), ("Bob", b"", BOB)):
            peer = proxied(chat, header)
            peer.socket = authority.trust().wrap_socket(peer.socket, server_hostname="localhost")
            peer.upgrade(X_Forwarded_For=named)
            said = {"type": "hello", "version": 1, "client": nick.ljust(16, "x"), "nick": nick}
            peer.send(text(said))
            peer.barrier()
        assert (address_of(chat), address_of(chat, "Bob")) == (ANN, BOB)
        chat.server._admission.policy.limiter.limits = Limits(connections_per_address=1)
        third = proxied(chat)
        third.socket = authority.trust().wrap_socket(third.socket, server_hostname="localhost")
        assert third.ask(request(X_Forwarded_For=BOB)).status == 503


def test_a_request_that_begins_like_a_header_is_a_request(behind: WebChat) -> None:
    with Bystanders(behind.address) as bystanders:
        for line in ("POST / HTTP/1.1", "PATCH / HTTP/1.1", "PRI * HTTP/1.1"):
            peer = proxied(behind)
            data = request(line)
            peer.trickle(data[:1], data[1:2], data[2:], read=bystanders.rich.pong)
            assert peer.response().status == 405


def test_a_header_with_a_mistake_is_logged_and_the_connection_closed(
    behind: WebChat, caplog: pytest.LogCaptureFixture
) -> None:
    assert proxied(behind, b"PROXY TCP4 a b 1 2\r\n" + request()).remains() == b""
    assert f"(proxy=1, last from {PROXY}, its PROXY header has an address that" in caplog.text


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"Host": "chat.example.org"}, 421),
        ({"Host": "backend", "X_Forwarded_Host": "chat.example.org"}, 101),
        ({"Host": "backend", "Forwarded": f"for={ANN};host=chat.example.org"}, 101),
        ({"Host": "backend", "X_Forwarded_Host": "other.example.org"}, 403),
        ({"Host": "chat.example.org", "X_Forwarded_Host": "a b"}, 400),
    ],
)
def test_a_page_may_talk_to_the_host_that_the_proxy_names(
    behind: WebChat, fields: dict[str, str], status: int
) -> None:
    said = handshake(Origin="https://chat.example.org", X_Forwarded_For=ANN, **fields)
    assert proxied(behind).ask(said).status == status


def test_fields_that_name_different_clients_are_refused_and_logged(
    behind: WebChat, caplog: pytest.LogCaptureFixture
) -> None:
    answer = proxied(behind).ask(request(X_Forwarded_For=ANN, Forwarded=f"for={BOB}"))
    assert answer.status == 400
    assert "X-Forwarded-For and Forwarded name different clients." in answer.text
    assert f"last from {PROXY}, X-Forwarded-For and Forwarded name" in caplog.text


def test_a_ban_by_address_hits_one_client_of_the_proxy(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    options = BEHIND | {"operator_file": str(tmp_path / "token")}
    with web_chatting(options=options) as chat:
        olga = chat.rich("Olga", token=TOKEN)
        ann, bob = (
            member(chat, nick=nick, X_Forwarded_For=address)
            for nick, address in (("Ann", ANN), ("Bob", BOB))
        )
        assert olga.ask("admin", action="ban", target=ANN, seconds=60)["type"] == "admin"
        assert ann.ending().bye == "banned"
        again = proxied(chat)
        again.upgrade(X_Forwarded_For=ANN)
        assert again.ending().bye == "banned"
        bob.send(text(say("still here")))
        assert olga.posts(1)[0]["text"] == "still here"


def test_limits_count_the_clients_of_a_proxy_by_their_own_addresses() -> None:
    with web_chatting(options=BEHIND, connections_per_address=1) as chat:
        member(chat, X_Forwarded_For=ANN)
        member(chat, nick="Bob", X_Forwarded_For=BOB)
        shared = proxied(chat)  # a connection that the proxy uses for one after the other
        assert shared.ask(request(X_Forwarded_For="192.0.2.3")).status == 200
        assert proxied(chat).ask(request(X_Forwarded_For="192.0.2.3")).status == 503
        assert shared.ask(request(X_Forwarded_For="192.0.2.4")).status == 200
        assert proxied(chat).ask(request(X_Forwarded_For="192.0.2.3")).status == 200
        answer = shared.ask(request(X_Forwarded_For=ANN))
        assert answer.status == 503
        assert "Too many connections from your address" in answer.text
        counts = chat.server._admission.policy.limiter._inside
        assert counts["192.0.2.1/32"] == counts["192.0.2.2/32"] == 1


def test_requests_for_pages_are_limited_by_the_address_of_the_client(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(admission, "REQUEST_COST", 1)
    with web_chatting(options=BEHIND, arrivals_per_minute=2) as chat:
        for _ in range(2):
            assert proxied(chat).ask(request(X_Forwarded_For=ANN)).status == 200
        answer = proxied(chat).ask(request(X_Forwarded_For=ANN))
        assert answer.status == 503
        assert "Too many connection attempts from your address" in answer.text
        assert proxied(chat).ask(request(X_Forwarded_For=BOB)).status == 200
        assert chat.server.rejections.counts == {"arrivals": 1}
        assert f"(arrivals=1, last from {ANN})" in caplog.text


@pytest.mark.parametrize("before", [b"", UNKNOWN, HEADER], ids=["nothing", "UNKNOWN", "named"])
@pytest.mark.parametrize("asks", [False, True])
def test_a_health_check_leaves_no_line_in_the_log_and_no_guest(
    behind: WebChat, caplog: pytest.LogCaptureFixture, before: bytes, asks: bool
) -> None:
    caplog.set_level(logging.DEBUG)
    for _ in range(3):
        check = proxied(behind, before)
        if asks:
            assert check.ask(request("GET /healthz HTTP/1.1", Connection="close")).status == 200
        check.socket.close()
        wait_over(behind)
    assert caplog.messages == []
    assert not behind.server.rejections.counts
    member(behind, X_Forwarded_For=ANN)
    assert "guest-1 connected from 192.0.2.1, 1 client online" in caplog.messages


def test_a_reload_changes_whose_word_is_taken(behind: WebChat) -> None:
    behind.server.reload(replace(behind.server._config, web_proxy=("127.0.0.3/32",)))
    member(behind, X_Forwarded_For=ANN)
    assert address_of(behind) == PROXY
    other = behind.raw(source="127.0.0.3")
    other.upgrade(X_Forwarded_For=f"{ANN}, {PROXY}, 127.0.0.3")
    other.send(text({"type": "hello", "version": 1, "client": "x" * 16, "nick": "Bob"}))
    other.barrier()
    assert address_of(behind, "Bob") == PROXY
