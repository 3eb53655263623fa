"""Minimal clients, written only from docs/protocol.md.

Every wait has a limit, so a missing event fails the test and does not hang it.
"""

import json
from collections.abc import Callable
from itertools import count
from typing import Any, Final, Self

from gevent import socket
from gevent.ssl import SSLContext
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from geventchat.protocol.websocket import PATH, SUBPROTOCOL
from tests.conversations.nodes import level, node_for

SECONDS: Final = 20.0
_numbers: Final = count(1)


class Plain:
    """A null-terminated client: the original protocol, byte for byte."""

    def __init__(
        self,
        address: tuple[str, int],
        *,
        source: str | None = None,
        tls: SSLContext | None = None,
    ) -> None:
        come_from = (source, 0) if source else None
        self.socket = socket.create_connection(node_for(address), SECONDS, come_from)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self._heard = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *pieces: bytes) -> None:
        """Send bytes unchanged, each piece by itself."""
        for piece in pieces:
            self.socket.sendall(piece)

    def trickle(self, *pieces: bytes, read: Callable[[], object]) -> None:
        """Send bytes that arrive in these pieces; `read` waits until the server has read one."""
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            self.socket.sendall(piece)
            read()

    def join_lobby(self) -> None:
        """Post in the lobby; once the post is delivered, this client is a member."""
        self.send(b"* we have met\0")

    def frame(self) -> bytes:
        """Return the next frame without its null byte. Raises EOFError at the end."""
        while b"\0" not in self._heard:
            data = self.receive()
            if not data:
                raise EOFError(self._heard)
            self._heard += data
        frame, _, self._heard = self._heard.partition(b"\0")
        return frame

    def receive(self) -> bytes:
        """Return what arrives next; nothing at the end."""
        data: bytes = self.socket.recv(65_536)
        return data

    def frames(self, number: int) -> list[bytes]:
        """Return the next frames."""
        return [self.frame() for _ in range(number)]

    def until(self, last: bytes) -> list[bytes]:
        """Return the frames before `last`, which proves silence without waiting."""
        heard = []
        while (frame := self.frame()) != last:
            heard.append(frame)
        return heard

    def rest(self) -> list[bytes]:
        """Return all frames until the server closes."""
        heard = []
        try:
            while True:
                heard.append(self.frame())
        except (EOFError, ConnectionResetError):
            return heard

    def shut(self) -> None:
        """Close the sending side only."""
        self.socket.shutdown(socket.SHUT_WR)


class Rich(Plain):
    """A client that has sent hello; its events are decoded JSON objects."""

    def __init__(
        self,
        address: tuple[str, int],
        nick: str | None = None,
        *,
        rooms: dict[str, Any] | list[str] | None = None,
        client: str | None = None,
        source: str | None = None,
        tls: SSLContext | None = None,
        **more: Any,
    ) -> None:
        super().__init__(address, source=source, tls=tls)
        self.client = client or f"client-of-a-test-{next(_numbers)}"
        hello: dict[str, Any] = {"version": 1, "client": self.client, "nonce": self.client, **more}
        if nick is not None:
            hello["nick"] = nick
        if rooms is not None:
            hello["rooms"] = rooms if isinstance(rooms, dict) else dict.fromkeys(rooms)
        self.send(b"\x1e" + encode({"type": "hello", **hello}))
        self.welcome = self.event()
        while self.welcome.get("nonce") != self.client:
            self.welcome = self.event()
        self.nick: str = self.welcome["nick"]
        self.greeting = self.pong()
        """Events after the welcome: rooms joined, their posts, errors."""

    def say(self, room: str, text: str, key: str | None = None) -> None:
        """Send a message without waiting."""
        self.tell("say", room=room, text=text, **({"key": key} if key else {}))

    def tell(self, kind: str, **fields: Any) -> None:
        """Send a request without waiting."""
        self.send(encode({"type": kind, **fields}))

    def ask(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Send a request with an id and return its answer; events before it are dropped."""
        number = str(next(_numbers))
        level()
        self.tell(kind, id=number, **fields)
        return self.hear(lambda event: event.get("id") == number)[-1]

    def event(self) -> dict[str, Any]:
        """Return the next event; a plain message from before the welcome has no type."""
        frame = self.frame()
        try:
            event = json.loads(frame)
        except ValueError:
            return {"frame": frame}
        return event if isinstance(event, dict) else {"frame": frame}

    def hear(self, last: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """Return the events up to and including the first for which `last` is true."""
        heard = [self.event()]
        while not last(heard[-1]):
            heard.append(self.event())
        return heard

    def posts(self, number: int, room: str | None = None) -> list[dict[str, Any]]:
        """Return the next posts, of one room if it is named; other events are dropped."""
        posts: list[dict[str, Any]] = []
        while len(posts) < number:
            event = self.event()
            if event["type"] == "post" and room in (None, event["room"]):
                posts.append(event)
        return posts

    def pong(self) -> list[dict[str, Any]]:
        """Return all events before the answer to a ping: a barrier that needs no clock.

        They include everything that the server had queued for this client when it read the ping.
        """
        number = str(next(_numbers))
        level()
        self.tell("ping", id=number)
        return self.hear(lambda event: event.get("id") == number)[:-1]

    def closing(self) -> list[dict[str, Any]]:
        """Return all events until the server closes."""
        return [json.loads(frame) for frame in self.rest()]


class Web(Rich):
    """Such a client over WebSocket; each frame is a text message there."""

    _protocol: ClientProtocol | None = None

    def send(self, *pieces: bytes) -> None:
        """Send frames, each complete."""
        protocol = self._protocol = self._protocol or self._upgrade()
        for piece in pieces:
            *messages, rest = piece.removeprefix(b"\x1e").split(b"\0")
            assert not rest
            for message in messages:
                protocol.send_text(message)
        self.socket.sendall(b"".join(protocol.data_to_send()))

    def receive(self) -> bytes:
        assert self._protocol is not None
        while data := self.socket.recv(65_536):
            self._protocol.receive_data(data)
            frames = [each for each in self._protocol.events_received() if isinstance(each, Frame)]
            texts = [bytes(each.data) + b"\0" for each in frames if each.opcode is Opcode.TEXT]
            if texts:
                return b"".join(texts)
        return b""

    def shut(self) -> None:
        """Send a Close, which ends this side only."""
        assert self._protocol is not None
        self._protocol.send_close(1000)
        self.socket.sendall(b"".join(self._protocol.data_to_send()))

    def _upgrade(self) -> ClientProtocol:
        host, port = self.socket.getpeername()[:2]
        uri = parse_uri(f"ws://{host}:{port}{PATH}")
        protocol = ClientProtocol(uri, subprotocols=[Subprotocol(SUBPROTOCOL)])
        protocol.send_request(protocol.connect())
        self.socket.sendall(b"".join(protocol.data_to_send()))
        while protocol.state is State.CONNECTING:
            protocol.receive_data(self.socket.recv(65_536))
        protocol.events_received()
        assert protocol.handshake_exc is None, protocol.handshake_exc
        return protocol


class Bystanders:
    """A rich and a plain client in the lobby, which must not notice misbehaving clients."""

    def __init__(self, address: tuple[str, int], *, tls: SSLContext | None = None) -> None:
        self.rich = Rich(address, tls=tls)
        self.plain = Plain(address, tls=tls)
        self.plain.join_lobby()
        self.rich.posts(1)
        self._all = ["* we have met"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.rich.socket.close()
        self.plain.socket.close()

    def check_heard(self, *others: str) -> None:
        """Check that they hear each other, the given messages since the last check, and no more.

        The stored history must contain the same messages.
        """
        assert self.plain.frames(len(others)) == [text.encode() for text in others]
        self.rich.say("lobby", "from rich")
        assert self.plain.until(b"from rich") == []
        self.plain.send(b"from plain\0")
        said = [*others, "from rich", "from plain"]
        assert texts(self.rich.hear(lambda event: event.get("text") == "from plain")) == said
        self._all += said
        posts = self.rich.ask("history", room="lobby", limit=500)["posts"]
        assert [post["text"] for post in posts] == self._all


def encode(message: dict[str, Any]) -> bytes:
    """Return the frame of a message."""
    return json.dumps(message, ensure_ascii=False).encode() + b"\0"


def of(kind: str, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the events of one type."""
    return [event for event in events if event["type"] == kind]


def texts(events: list[dict[str, Any]]) -> list[str]:
    """Return the texts of the posts among events."""
    return [post["text"] for post in of("post", events)]
