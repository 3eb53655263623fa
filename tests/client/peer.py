"""The other end of a connection, in the test's own hand: it says what it is told to say."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import gevent
import msgspec
from gevent import socket
from gevent.event import AsyncResult

from geventchat.client import Connection, Joined, Post
from geventchat.protocol import events, frames
from geventchat.protocol.events import Event, Limits, Welcome

Request = dict[str, Any]
EPOCH = "e" * 16
WELCOME = Welcome(
    version=1,
    nick="anna",
    server="test 1",
    features=[],
    ping_seconds=30,
    limits=Limits(frame_bytes=65_536, rooms=128, nick_length=32),
)


class Peer:
    """One accepted connection."""

    def __init__(self, accepted: socket.socket) -> None:
        self.socket = accepted
        self._frames = self._receive()

    def frame(self) -> bytes:
        """Return the next frame; b"" at the end."""
        with gevent.Timeout(20):
            return next(self._frames, b"")

    def request(self) -> Request:
        """Return the next request."""
        request: Request = msgspec.json.decode(self.frame().removeprefix(b"\x1e"))
        return request

    def tell(self, *said: Event | bytes) -> None:
        data = [item if isinstance(item, bytes) else events.encode(item) for item in said]
        self.socket.sendall(b"".join(item + b"\0" for item in data))

    def welcome(self, ping_seconds: int = WELCOME.ping_seconds) -> Request:
        hello = self.request()
        welcome = msgspec.structs.replace(WELCOME, nonce=hello["nonce"], ping_seconds=ping_seconds)
        self.tell(welcome)
        return hello

    def _receive(self) -> Iterator[bytes]:
        decoder = frames.Decoder()
        while data := self.socket.recv(65_536):
            yield from decoder.feed(data)


class Listener:
    """Where peers are met."""

    def __init__(self) -> None:
        self.port = 0
        self.open()
        self._peers: list[Peer] = []

    def open(self) -> None:
        """Listen, again where it did."""
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(("127.0.0.1", self.port))
        self.socket.listen()
        self.port = self.socket.getsockname()[1]

    def accept(self) -> Peer:
        with gevent.Timeout(20):
            peer = Peer(self.socket.accept()[0])
        self._peers.append(peer)
        return peer

    def close(self) -> None:
        self.socket.close()
        for peer in self._peers:
            peer.socket.close()


@contextmanager
def conversation(**options: Any) -> Iterator[tuple[Connection, Peer]]:
    """Yield both ends of a connection that was welcomed."""
    listener = Listener()
    answered: AsyncResult[Peer] = AsyncResult()

    def answer() -> None:
        peer = listener.accept()
        peer.welcome()
        answered.set(peer)

    gevent.spawn(answer)
    try:
        chat = Connection("127.0.0.1", listener.port, **{"resume": False, **options})
        peer = answered.get()
        assert peer is not None
        with closing(chat), closing(listener):
            yield chat, peer
    finally:
        listener.close()


@contextmanager
def resuming(listener: Listener, password: str | None = None) -> Iterator[tuple[Connection, Peer]]:
    connecting = meanwhile(
        lambda: Connection("127.0.0.1", listener.port, nick="anna", password=password)
    )
    peer = listener.accept()
    peer.welcome()
    chat = connecting.get()
    try:
        yield chat, peer
    finally:
        listener.close()
        chat.close()


def joined(position: int = 0, recovered: bool | None = None, epoch: str = EPOCH) -> Joined:
    return Joined(
        room="lobby", epoch=epoch, position=position, oldest=1, recovered=recovered, count=1
    )


def post(position: int, text: str = "hi", key: str | None = None) -> Post:
    return Post("lobby", position, "bert", 0, text, key)


def take(chat: Connection, number: int) -> list[object]:
    with gevent.Timeout(20):
        return [next(chat) for _ in range(number)]


def meanwhile(act: Callable[[], Any]) -> "gevent.Greenlet[[], Any]":
    """Do something in another greenlet; `get` gives or raises what came of it."""
    greenlet = gevent.Greenlet(act)
    greenlet.start()
    return greenlet
