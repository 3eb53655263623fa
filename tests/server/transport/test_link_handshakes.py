"""The first and the last words of a link: handshakes, other protocols, farewells."""

from contextlib import suppress

import gevent
import pytest

from geventchat.protocol.errors import FULL, HTTP, ProtocolError
from tests.server.transport.ends import TRUST, Ends, ends_of


@pytest.mark.parametrize(
    ("said", "complaint", "answer"),
    [
        (b"HI" + b"\0\1x", "did not wait for the handshake", b""),
        (b"GET /", "no HI", b"BYE protocol"),
    ],
)
def test_a_framing_whose_handshake_fails_does_not_open(
    stream: str, said: bytes, complaint: str, answer: bytes
) -> None:
    with ends_of(stream, "counted") as ends:
        opening = gevent.spawn(ends.link.open, 5)
        if stream == "tls":
            ends.peer = TRUST.wrap_socket(ends.peer, server_hostname="localhost")
        ends.peer.sendall(said)
        with pytest.raises(ConnectionError, match=complaint):
            opening.get()
        closing = gevent.spawn(ends.link.close, 5)
        assert ends.rest() == answer
        ends.peer.close()
        closing.get()


@pytest.mark.parametrize("hang_up", [True, False])
def test_a_handshake_of_the_framing_has_a_limit(stream: str, *, hang_up: bool) -> None:
    with ends_of(stream, "counted") as ends:
        opening = gevent.spawn(ends.link.open, 0.2)
        if stream == "tls":
            ends.peer = TRUST.wrap_socket(ends.peer, server_hostname="localhost")
        ends.peer.sendall(b"H")
        if hang_up:
            ends.end()
        with pytest.raises(OSError, match="it hung up" if hang_up else "it took too long"):
            opening.get()


def test_a_client_without_tls_is_answered_by_the_framing(
    framing: str,
) -> None:
    said = {
        b"hello\0": b"* geventchat: This port speaks TLS. Connect with: knock twice\0",
        b"GET / HTTP/1.1\r\n\r\n": b"HTTP/1.1 400 Bad Request\r\n",
    }
    for head, answer in said.items():
        with ends_of("tls", framing) as ends:
            ends.peer.sendall(head)
            with pytest.raises(ConnectionError, match="does not speak TLS"):
                ends.link.open(5)
            heard = ends.peer.recv(1_000)
            assert heard.startswith(answer if framing == "null" else b"NOT " + head)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (b"SSH-2.0-x\r\n", b"This port speaks geventchat, not SSH.\r\n"),
        (b"\x16\x03\x01", b"\x15\x03\x01"),
    ],
)
def test_the_farewell_to_another_protocol_is_in_that_protocol(
    stream: str, said: bytes, answer: bytes
) -> None:
    with ends_of(stream, "null") as ends:
        ends.shake_hands()
        ends.read()
        ends.peer.sendall(said)
        with pytest.raises(ProtocolError) as caught:
            ends.ended()
        assert caught.value.reason is HTTP
        words = ends.link.farewell(HTTP)
        assert words.startswith(answer)
        assert (b"Connect with: knock twice\n" in words) == said.startswith(b"GET")


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-x\r\n", b"\x16\x03\x01"])
def test_another_protocol_is_recognised_even_if_its_client_closes_at_once(said: bytes) -> None:
    with ends_of("tcp", "null") as ends:
        ends.peer.sendall(said)
        ends.peer.close()
        ends.read()
        with pytest.raises(ProtocolError) as caught:
            ends.ended()
        assert caught.value.reason is HTTP


def test_the_farewell_arrives_though_the_client_is_still_sending(ends: Ends) -> None:
    """Closing a socket with unread input resets it, and sent data may be lost."""
    ends.peer.sendall(ends.encode(b"nobody reads this"))
    ends.link.reject(FULL)
    closing = gevent.spawn(ends.link.close, 5)
    gevent.sleep(1e-9)
    with suppress(OSError):
        ends.peer.sendall(ends.encode(b"nor this"))
    words = {"null": b"* geventchat: " + FULL.text.encode() + b"\0", "counted": b"BYE fullEND"}
    assert ends.rest() == words[ends.framing]
    ends.peer.close()
    closing.get()
