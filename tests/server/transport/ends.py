"""Both ends of a connection, with each framing over each stream."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gevent
import trustme
from gevent import socket, ssl

from geventchat.client.tls import end_sending
from geventchat.server.transport.base import Client, Framings, Stream, Ways
from geventchat.server.transport.connection import Connection
from geventchat.server.transport.null_framing import NullFraming
from geventchat.server.transport.outbox import Outbox
from geventchat.server.transport.tcp import TcpStream
from geventchat.server.transport.tls import TlsStream
from tests.server.counted import CountedFraming

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
