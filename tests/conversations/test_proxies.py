"""Behind a proxy that sends a PROXY header, the server sees each client's own address.

The proxy's address is 127.0.0.2; clients that come directly have 127.0.0.1.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import gevent
import pytest

from geventchat.server.ops.top import top
from geventchat.server.transport import proxies
from tests.conversations.certificates import Authority
from tests.conversations.chat import Chat, chatting, drop
from tests.conversations.operators import TOKEN
from tests.conversations.peers import Bystanders, Plain, Rich, encode, texts

PROXY = "127.0.0.2"
BEHIND = {"proxy": (f"{PROXY}/32",), "trust": ("127.0.0.1/32", f"{PROXY}/32")}
ANN = b"PROXY TCP4 192.0.2.1 192.0.2.9 5555 4040\r\n"
BOB = b"PROXY TCP4 192.0.2.2 192.0.2.9 5556 4040\r\n"
UNKNOWN = b"PROXY UNKNOWN\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL = SIGNATURE + b"\x20\0\0\0"
HEADERS = {
    "version 1": ANN,
    "version 2": SIGNATURE + b"\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\x09\x15\xb3\x0f\xc8",
    "version 2 with more": SIGNATURE
    + b"\x21\x11\x01\x0c\xc0\0\2\1\xc0\0\2\x09\x15\xb3\x0f\xc8\4\0\xfd"
    + b"\0" * 253,
}


@pytest.fixture
def behind() -> Iterator[Chat]:
    """Return a server that trusts the proxy's address and its own, but nobody else's."""
    with chatting(options=BEHIND) as chat:
        yield chat


def proxied(chat: Chat, *pieces: bytes) -> Plain:
    """Connect from the proxy and send these pieces."""
    peer = chat.track(Plain(chat.address, source=PROXY))
    peer.send(*pieces)
    return peer


def hello(nick: str, **more: str) -> bytes:
    said = {"type": "hello", "version": 1, "client": nick.ljust(16, "x"), "nick": nick, **more}
    return b"\x1e" + encode(said)


def welcomed(chat: Chat, header: bytes, nick: str, **more: str) -> Plain:
    """Connect a rich client through the proxy; return it when it is welcome."""
    peer = proxied(chat, header + hello(nick, **more))
    while b'"welcome"' not in peer.frame():
        pass
    return peer


def last_words(chat: Chat, data: bytes) -> bytes:
    """Send these bytes through the proxy; return the last frame until the server closes."""
    with Plain(chat.address, source=PROXY) as peer:
        peer.send(data)
        return peer.rest()[-1]


def addresses(chat: Chat) -> set[str]:
    return {session.address for session in chat.sessions()}


def wait_over(chat: Chat) -> None:
    """Wait until no connection waits for a header, and no client is there."""
    waiting = chat.server._doors[0]._proxies._waiting
    with gevent.Timeout(20):
        while waiting or chat.server._admission.readers:
            gevent.sleep(0.001)


@pytest.mark.parametrize("size", [1, 5, 1_000])
@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_header_in_any_pieces_names_the_client_and_nothing_after_it_is_lost(
    behind: Chat, header: bytes, size: int
) -> None:
    with Bystanders(behind.address) as bystanders, Rich(behind.address, rooms=[]) as pinger:
        data = header + b"hello\0again\0"
        peer = behind.track(Plain(behind.address, source=PROXY))
        pieces = [data[start : start + size] for start in range(0, len(data), size)]
        peer.trickle(*pieces, read=pinger.pong)
        bystanders.check_heard("hello", "again")
        assert addresses(behind) == {"127.0.0.1", "192.0.2.1"}
        assert "192.0.2.1:5555" in {session.link.peer for session in behind.sessions()}  # type: ignore[attr-defined]


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_header_comes_before_tls(tmp_path: Path, header: bytes) -> None:
    authority = Authority(tmp_path)
    options = BEHIND | {"tls_cert": authority.issue("server")}
    with (
        chatting(options=options) as chat,
        Bystanders(chat.address, tls=authority.trust()) as bystanders,
    ):
        peer = proxied(chat, header)
        peer.socket = authority.trust().wrap_socket(peer.socket, server_hostname="localhost")
        peer.send(b"hello\0")
        bystanders.check_heard("hello")
        assert addresses(chat) == {"127.0.0.1", "192.0.2.1"}


def test_the_log_and_top_show_the_address_of_the_client(
    behind: Chat, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "geventchat")
    welcomed(behind, ANN, "Ann")
    assert "guest-1 connected from 192.0.2.1, 1 client online" in caplog.messages
    (session,) = behind.sessions()
    with monkeypatch.context() as patch:
        patch.setattr(type(session.outbox), "size", 1)
        assert [client.address for client in top(behind.server._hub).clients] == ["192.0.2.1"]


def test_a_ban_by_address_hits_one_client_of_the_proxy(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    options = BEHIND | {"operator_file": str(tmp_path / "token")}
    with chatting(options=options) as chat:
        olga = chat.rich("Olga", token=TOKEN)
        ann, bob = welcomed(chat, ANN, "Ann"), welcomed(chat, BOB, "Bob")
        answer = olga.ask("admin", action="ban", target="192.0.2.1", seconds=60)
        assert answer["type"] == "admin", answer
        assert b'"banned"' in ann.rest()[-1]
        assert b"address is banned" in proxied(chat, ANN + b"hi\0").rest()[-1]
        bob.send(encode({"type": "say", "room": "lobby", "text": "still here"}))
        assert texts(olga.posts(1)) == ["still here"]
        welcomed(chat, BOB, "Bill")


def test_limits_count_the_clients_of_a_proxy_by_their_own_addresses() -> None:
    with chatting(options=BEHIND, connections_per_address=1) as chat:
        welcomed(chat, ANN, "Ann")
        welcomed(chat, BOB, "Bob")
        assert b"Too many connections" in proxied(chat, ANN + b"hi\0").rest()[-1]
        assert {"192.0.2.1", "192.0.2.2"} == addresses(chat)


@pytest.mark.parametrize("header", [UNKNOWN, LOCAL], ids=["UNKNOWN", "LOCAL"])
def test_a_client_that_a_proxy_does_not_name_has_its_address_and_is_never_trusted(
    header: bytes,
) -> None:
    options = BEHIND | {"password": "sesame"}
    with chatting(options=options, connections_per_address=1, arrivals_per_minute=9) as chat:
        ann = welcomed(chat, header, "Ann", password="sesame")
        (session,) = chat.sessions()
        assert session.address == PROXY
        assert session.pace is not None
        assert b"Too many connections" in last_words(chat, header + hello("Bob"))
        ann.socket.close()
        wait_over(chat)
        for _ in range(5):
            assert b"Wrong password" in last_words(chat, header + hello("Bob", password="x"))
            wait_over(chat)
        assert b"Too many wrong" in last_words(chat, header + hello("Bob", password="x"))
        chat.server.reload(replace(chat.server._config, proxy=()))
        welcomed(chat, b"", "Proxy", password="sesame")  # who are trusted are not locked out


CHECKS = {
    "nothing": b"",
    "UNKNOWN": UNKNOWN,
    "LOCAL": LOCAL,
    "version 1": ANN,
    "version 2": HEADERS["version 2"],
}


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.parametrize("end", [drop, lambda peer: peer.socket.close()], ids=["reset", "closed"])
def test_a_health_check_leaves_no_line_in_the_log_no_guest_and_no_count(
    caplog: pytest.LogCaptureFixture, check: bytes, end: Callable[[Plain], None]
) -> None:
    caplog.set_level(logging.DEBUG)
    with chatting(options=BEHIND | {"trust": ()}, arrivals_per_minute=2) as chat:
        for _ in range(5):
            end(proxied(chat, check))
            wait_over(chat)
        assert caplog.messages == []
        bob = welcomed(chat, BOB, "Bob")
        proxied(chat, ANN + b"hi\0")
        while b'"hi"' not in bob.frame():
            pass
        assert caplog.messages == [
            "guest-1 connected from 192.0.2.2, 1 client online",
            "guest-1 is now known as Bob",
            "guest-2 connected from 192.0.2.1, 2 clients online",
        ]
        assert not chat.server.rejections.counts


@pytest.mark.parametrize("header", [b"", UNKNOWN, LOCAL], ids=["nothing", "UNKNOWN", "LOCAL"])
def test_a_connection_that_only_waits_is_closed_quietly_and_never_a_guest(
    caplog: pytest.LogCaptureFixture, header: bytes
) -> None:
    caplog.set_level(logging.DEBUG)
    with chatting(options=BEHIND, handshake_seconds=1) as chat:
        assert proxied(chat, header).rest() == []
        assert caplog.messages == []
        assert not chat.server.rejections.counts


MISTAKES = {
    "a message": (b"hello\0", "it sent no PROXY header, which --proxy requires"),
    "a hello": (hello("Ann"), "it sent no PROXY header, which --proxy requires"),
    "a request": (b"GET / HTTP/1.1\r\n\r\n", "it sent no PROXY header, which --proxy requires"),
    "TLS": (b"\x16\x03\x01\0\0", "it sent no PROXY header, which --proxy requires"),
    "a bad header": (b"PROXY TCP4 a b 1 2\r\nhello\0", "its PROXY header has an address that"),
    "no end": (b"PROXY TCP4 192.0.2.1", "its PROXY header ended early"),
    "two headers": (ANN + BOB + b"hello\0", None),
}


@pytest.mark.parametrize(("said", "mistake"), MISTAKES.values(), ids=MISTAKES)
def test_what_is_not_a_header_is_answered_counted_logged_and_not_relayed(
    behind: Chat, caplog: pytest.LogCaptureFixture, said: bytes, mistake: str | None
) -> None:
    with Bystanders(behind.address) as bystanders:
        peer = proxied(behind, said)
        peer.shut()
        (line,) = peer.rest()
        assert line.startswith(b"* geventchat: This port speaks ")
        bystanders.check_heard()
        with gevent.Timeout(20):
            while not behind.server.rejections.counts:
                gevent.sleep(0.001)
        assert behind.server.rejections.counts == {"proxy": 1}
        last = f"{PROXY}, {mistake}" if mistake else "192.0.2.1"
        assert f"rejected a connection (proxy=1, last from {last}" in caplog.text


def test_a_header_that_is_not_complete_in_time_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with chatting(options=BEHIND, handshake_seconds=1) as chat:
        (line,) = proxied(chat, ANN[:-1]).rest()
        assert b"PROXY" in line
        assert f"last from {PROXY}, its PROXY header took too long" in caplog.text


def test_a_reload_changes_whose_header_is_believed(behind: Chat) -> None:
    bob = welcomed(behind, BOB, "Bob")
    behind.server.reload(replace(behind.server._config, proxy=("127.0.0.3/32",)))
    (line,) = proxied(behind, ANN + b"hello\0").rest()
    assert b"PROXY" in line
    assert b"--proxy" in line
    bob.send(encode({"type": "ping"}))  # who is here stays
    while b'"pong"' not in bob.frame():
        pass
    other = behind.track(Plain(behind.address, source="127.0.0.3"))
    other.send(ANN + b"hello\0")
    while b'"hello"' not in bob.frame():
        pass
    assert addresses(behind) == {"192.0.2.1", "192.0.2.2"}


def test_of_too_many_that_wait_for_their_header_the_oldest_is_ended(
    behind: Chat, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxies, "MOST_WAITING", 2)
    first, second, third = (proxied(behind) for _ in range(3))
    assert first.rest() == []
    assert "too many wait for their PROXY header" in caplog.text
    for peer, header, nick in ((second, ANN, "Ann"), (third, BOB, "Bob")):
        peer.send(header, hello(nick))
        while b'"welcome"' not in peer.frame():
            pass
    assert addresses(behind) == {"192.0.2.1", "192.0.2.2"}


def test_a_server_that_stops_ends_those_that_wait_for_their_header(behind: Chat) -> None:
    waiting = [Plain(behind.address, source=PROXY) for _ in range(2)]
    waiting[1].send(LOCAL)
    with gevent.Timeout(20):
        while len(behind.server._doors[0]._proxies._waiting) < 2:
            gevent.sleep(0.001)
    behind.stop()
    for peer in waiting:
        assert peer.rest() == []
        peer.socket.close()
