"""The link over a socket pair: the same tests with each framing over each stream."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import gevent
import pytest
import trustme
from gevent import socket, ssl
from gevent.event import Event

from geventchat.client.tls import end_sending
from geventchat.config import Limits
from geventchat.protocol.errors import FULL, HTTP, TOO_LARGE, ProtocolError
from geventchat.server.transport.base import Client, Framings, Stream, Ways
from geventchat.server.transport.connection import Connection
from geventchat.server.transport.null_framing import NullFraming
from geventchat.server.transport.outbox import Outbox
from geventchat.server.transport.tcp import TcpStream
from geventchat.server.transport.tls import TlsStream
from geventchat.server.transport.token_bucket import TokenBucket
from tests.server.counted import PING, PONG, CountedFraming

LIMIT = 20_000
WAYS = Ways("knock twice", 4040, None)
CA = trustme.CA()
CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
CA.issue_cert("localhost").configure_cert(CONTEXT)
TRUST = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
CA.configure_trust(TRUST)

STREAMS: dict[str, Callable[[socket.socket], Stream]] = {
    "tcp": TcpStream,
    "tls": lambda sock: TlsStream(sock, CONTEXT),
}
FRAMINGS: dict[str, Framings] = {"null": NullFraming, "counted": CountedFraming}


class Ends:
    """Both ends of a connection; a greenlet reads the link like a session."""

    def __init__(self, stream: str, framing: str) -> None:
        self.stream, self.framing = stream, framing
        here, self.peer = socket.socketpair()
        self.peer.settimeout(5)
        self.link = Connection(
            STREAMS[stream](here), FRAMINGS[framing](LIMIT, WAYS), Client("somewhere", 1), "door"
        )
        self.outbox = Outbox(self.link.sink, 1 << 30, lambda _: None)
        self.heard: list[bytes] = []
        self.reader: gevent.Greenlet[[], None] | None = None

    def shake_hands(self) -> None:
        opening = gevent.spawn(self.link.open, 5)
        if self.stream == "tls":
            self.peer = TRUST.wrap_socket(self.peer, server_hostname="localhost")
        if self.framing == "counted":
            self.peer.sendall(b"HI")
            assert self.exactly(5) == b"HELLO"
        opening.get()

    def read(self) -> None:
        self.reader = gevent.spawn(self._read)

    def encode(self, *contents: bytes) -> bytes:
        if self.framing == "null":
            return b"".join(each + b"\0" for each in contents)
        return b"".join(len(each).to_bytes(2) + each for each in contents)

    def say(self, data: bytes) -> None:
        """Send bytes, and wait until they have been read."""
        before = self.link.heard
        self.peer.sendall(data)
        with gevent.Timeout(20):
            while self.link.heard == before or not self.link.listening:
                gevent.sleep(1e-9)

    def exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self.peer.recv(count - len(data))
            assert piece
            data += piece
        return data

    def rest(self) -> bytes:
        return b"".join(iter(lambda: self.peer.recv(65_536), b""))

    def end(self) -> None:
        """Close the sending side of the peer."""
        if isinstance(self.peer, ssl.SSLSocket):
            end_sending(self.peer)
        else:
            self.peer.shutdown(socket.SHUT_WR)

    def ended(self) -> list[bytes]:
        """Wait for the end of the frames and return them. Raises what the link raised."""
        assert self.reader is not None
        self.reader.get(timeout=20)
        return self.heard

    def _read(self) -> None:
        for frame in self.link.frames(self.outbox):
            self.heard.append(frame)


@contextmanager
def ends_of(stream: str, framing: str) -> Iterator[Ends]:
    ends = Ends(stream, framing)
    try:
        yield ends
    finally:
        if ends.reader is not None:
            ends.reader.kill()
        ends.peer.close()
        ends.link.close(0)


@pytest.fixture(params=STREAMS)
def stream(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=FRAMINGS)
def framing(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def ends(stream: str, framing: str) -> Iterator[Ends]:
    """Return both ends after their handshakes."""
    with ends_of(stream, framing) as ends:
        ends.shake_hands()
        yield ends


class Tokens(TokenBucket):
    """Counts the tokens taken and the bytes waiting meanwhile."""

    def __init__(self, pause: float) -> None:
        super().__init__(Limits(), Counter())
        self.pause = pause
        self.taken: list[int] = []
        self.waiting: list[int] = []

    def take(self, tokens: int, now: float) -> float:
        self.taken.append(tokens)
        return self.pause

    def check(self, waiting: int, now: float) -> None:
        self.waiting.append(waiting)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
def test_frames_are_whole_whatever_pieces_they_arrive_in(ends: Ends, size: int) -> None:
    said = [b"a", "é".encode(), b"x" * 40, b"last"]
    data = ends.encode(*said)
    ends.read()
    for start in range(0, len(data), size):
        ends.say(data[start : start + size])
    ends.end()
    assert ends.ended() == said


def test_a_burst_is_yielded_whole_and_in_order(ends: Ends) -> None:
    said = [b"%d " % number + b"x" * 9_000 for number in range(100)]
    ends.read()
    ends.peer.sendall(ends.encode(*said))
    ends.end()
    assert ends.ended() == said


def test_a_frame_that_the_end_cut_off_is_dropped_and_answers_still_arrive(ends: Ends) -> None:
    ends.read()
    ends.peer.sendall(ends.encode(b"whole", b"cut")[:-2])
    ends.end()
    assert ends.ended() == [b"whole"]
    ends.outbox.put(b"answer")
    ends.outbox.flush()
    closing = gevent.spawn(ends.link.close, 5)
    assert ends.rest() == b"answer"
    ends.peer.close()
    closing.get()


def test_the_clock_of_an_incomplete_frame_runs_from_its_first_bytes(ends: Ends) -> None:
    ends.read()
    two = ends.encode(b"one", b"two")
    cut = len(ends.encode(b"one"))
    ends.say(two[:1])
    begun = ends.link.begun
    assert begun
    ends.say(two[1:2])
    assert ends.link.begun == begun
    ends.say(two[2 : cut + 1])
    assert ends.link.begun > begun
    ends.say(two[cut + 1 :])
    assert ends.link.begun == 0
    assert ends.heard == [b"one", b"two"]


def test_what_was_sent_before_a_drain_is_still_yielded(ends: Ends) -> None:
    ends.read()
    ends.say(ends.encode(b"one"))
    ends.peer.sendall(ends.encode(b"two", b"three"))
    ends.link.drain()
    assert ends.ended() == [b"one", b"two", b"three"]


def test_a_drain_does_not_wait_for_tokens(ends: Ends) -> None:
    ends.link.pace = pace = Tokens(1_000)
    ends.peer.sendall(ends.encode(b"one", b"two"))
    ends.read()
    with gevent.Timeout(20):
        while not pace.waiting:
            gevent.sleep(1e-9)
    ends.link.drain()
    assert ends.ended() == [b"one", b"two"]


def test_each_frame_costs_a_token_and_large_ones_more(ends: Ends) -> None:
    ends.link.pace = pace = Tokens(0)
    ends.read()
    ends.say(ends.encode(b"a"))
    ends.say(ends.encode(b"x" * 9_000))
    ends.say(ends.encode(b"", b"b", b"", b""))
    assert (pace.taken[0], sum(pace.taken)) == (1, 8)  # 1, 3, and 4 with those without content
    assert ends.heard == [b"a", b"x" * 9_000, b"b"]


def test_bytes_received_from_a_throttled_client_are_counted_exactly(ends: Ends) -> None:
    ends.link.pace = pace = Tokens(1e-6)
    ends.peer.sendall(ends.encode(b"one", b"two", b"three"))
    ends.end()
    ends.read()
    assert ends.ended() == [b"one", b"two", b"three"]
    sizes = [len(ends.encode(*rest)) for rest in ([b"two", b"three"], [b"three"], [])]
    assert pace.waiting == sizes


def test_a_frame_over_the_limit_ends_the_connection(ends: Ends) -> None:
    ends.read()
    ends.peer.sendall(ends.encode(b"small", b"x" * (LIMIT + 1)))
    with pytest.raises(ProtocolError) as caught:
        ends.ended()
    assert caught.value.reason is TOO_LARGE
    assert ends.heard == [b"small"]


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


def test_sending_waits_for_the_client_and_loses_nothing(ends: Ends) -> None:
    data = bytes(range(256)) * 8_000
    sending = gevent.spawn(ends.link.sink.send, data, 5)
    assert ends.exactly(len(data)) == data
    sending.get()


def test_sending_gives_up_on_a_client_that_reads_nothing(ends: Ends) -> None:
    with pytest.raises(TimeoutError):
        ends.link.sink.send(b"x" * 8_000_000, 0.01)


def test_a_reply_of_the_framing_never_cuts_an_item_sent_in_part(stream: str) -> None:
    with ends_of(stream, "counted") as ends:
        ends.shake_hands()
        ends.read()
        item = ends.encode(b"x" * 60_000) * 50
        ends.outbox.put(item)
        ends.outbox.flush()
        ends.say(PING + ends.encode(b"hello") + PING)
        assert ends.outbox.size > len(PONG)
        assert ends.exactly(len(item)) == item
        assert ends.exactly(4) == PONG + PONG
        assert ends.heard == [b"hello"]


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


def test_the_address_is_a_value_and_the_peer_is_for_logs() -> None:
    with ends_of("tcp", "null") as ends:
        assert (ends.link.address, ends.link.peer) == ("somewhere", "somewhere:1")
        ends.link.address = "2001:db8::1"  # as reported by a proxy
        assert ends.link.peer == "[2001:db8::1]:1"


def test_a_link_whose_peer_does_not_read_closes_in_time(ends: Ends) -> None:
    with gevent.Timeout(20):
        ends.link.close(0.01)


def test_a_reader_that_is_woken_while_it_does_what_it_was_woken_for_is_woken_again(
    ends: Ends,
) -> None:
    """Else it would sleep through everything until its client sends something."""
    link, woken, doing = ends.link, [0], Event()

    def read() -> None:
        for frame in link.frames(ends.outbox):
            assert frame == b""
            woken[0] += 1
            doing.wait()

    reader = gevent.spawn(read)
    try:
        for times in range(1, 4):
            doing.clear()
            link.wake()
            gevent.sleep(0.001)
            link.wake()
            gevent.sleep(0.001)
            doing.set()
            with gevent.Timeout(20):
                while woken[0] < 2 * times or not link.listening:
                    gevent.sleep(0.001)
    finally:
        reader.kill()
