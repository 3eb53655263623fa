"""The web door over a raw socket: the bytes of HTTP and WebSocket, written and read by hand."""

import json
import socket as native
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, Final, NamedTuple

from gevent import socket

from tests.conversations.chat import Chat, chatting
from tests.conversations.nodes import level, node_for
from tests.conversations.peers import Plain

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
CONTINUATION: Final = 0
KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="
"""The key of the example in RFC 6455, 1.3."""
ACCEPT: Final = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
_numbers: Final = count(1)


class Response(NamedTuple):
    """A response of HTTP."""

    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class Ending(NamedTuple):
    """How the server ended a WebSocket."""

    events: list[dict[str, Any]]
    """What it sent before."""
    code: int | None
    """The code of its Close; 0: a Close without one; None: it sent no Close."""
    reason: str

    @property
    def bye(self) -> str | None:
        """The code of its last event, if that is a `bye`."""
        last = self.events[-1] if self.events else {"type": None}
        return last["code"] if last["type"] == "bye" else None


def frame(
    opcode: int,
    data: bytes = b"",
    *,
    fin: bool = True,
    mask: bytes | None = b"\1\2\3\4",
    reserved: int = 0,
    size: int | None = None,
) -> bytes:
    """Encode a frame as a client sends it; `size`: the length that it claims to have."""
    size = len(data) if size is None else size
    head = bytes([fin << 7 | reserved << 4 | opcode])
    masked = 0x80 if mask is not None else 0
    if size < 126:
        head += bytes([masked | size])
    elif size < 1 << 16:
        head += bytes([masked | 126]) + size.to_bytes(2)
    else:
        head += bytes([masked | 127]) + size.to_bytes(8)
    if mask is None:
        return head + data
    whole = mask * (len(data) // 4 + 1)
    number = int.from_bytes(data) ^ int.from_bytes(whole[: len(data)])
    return head + mask + number.to_bytes(len(data))


def text(message: dict[str, Any] | str, **options: Any) -> bytes:
    """Encode a text message, or its first fragment."""
    if not isinstance(message, str):
        message = json.dumps(message, ensure_ascii=False)
    return frame(TEXT, message.encode(), **options)


def close(code: int | None = None, reason: bytes = b"") -> bytes:
    """Encode a Close."""
    return frame(CLOSE, (b"" if code is None else code.to_bytes(2)) + reason)


def say(words: str, **fields: Any) -> dict[str, Any]:
    """Return a request to post in the lobby."""
    return {"type": "say", "room": "lobby", "text": words, **fields}


def request(line: str = "GET / HTTP/1.1", **fields: str | None) -> bytes:
    """Encode a request; an underscore in the name of a field stands for a hyphen."""
    fields = {"Host": "localhost", **fields}
    lines = [f"{name.replace('_', '-')}: {each}" for name, each in fields.items() if each]
    return "\r\n".join([line, *lines, "", ""]).encode("latin-1")


def handshake(line: str = "GET /ws HTTP/1.1", **fields: str | None) -> bytes:
    """Encode the request for a WebSocket."""
    usual: dict[str, str | None] = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec_WebSocket_Key": KEY,
        "Sec_WebSocket_Version": "13",
    }
    return request(line, **(usual | fields))


class Raw(Plain):
    """A client of the web door."""

    def exactly(self, number: int) -> bytes:
        """Return so many bytes. Raises EOFError at the end."""
        pieces, size = [self._heard], len(self._heard)
        while size < number:
            data = self.socket.recv(65_536)
            if not data:
                raise EOFError(b"".join(pieces))
            pieces.append(data)
            size += len(data)
        heard = b"".join(pieces)
        self._heard = heard[number:]
        return heard[:number]

    def response(self, *, head_only: bool = False) -> Response:
        """Return the next response; `head_only`: it is one without a body."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.exactly(1)
        line, *rest = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        fields = {name.lower(): value for name, value in (each.split(": ", 1) for each in rest)}
        assert len(fields) == len(rest)
        size = 0 if head_only else int(fields.get("content-length", 0))
        return Response(int(line.split(" ")[1]), fields, self.exactly(size))

    def ask(self, data: bytes, **options: Any) -> Response:
        """Send a request and return its response."""
        self.send(data)
        return self.response(**options)

    def remains(self) -> bytes:
        """Return all bytes until the server closes."""
        try:
            while data := self.socket.recv(65_536):
                self._heard += data
        except ConnectionResetError:
            pass
        data, self._heard = self._heard, b""
        return data

    def upgrade(self, **fields: str) -> Response:
        """Open a WebSocket."""
        response = self.ask(handshake("GET /ws HTTP/1.1", **fields))
        assert response.status == 101, response
        return response

    def hello(self, **fields: Any) -> list[dict[str, Any]]:
        """Open a WebSocket and say hello; return what is heard before the first pong."""
        self.upgrade()
        client = f"client-of-the-web-{next(_numbers)}"
        self.send(text({"type": "hello", "version": 1, "client": client, **fields}))
        return self.barrier()

    def server_frame(self) -> tuple[int, bytes]:
        """Return opcode and content of the server's next frame. Raises EOFError at the end."""
        first, size = self.exactly(2)
        assert first & 0x70 == 0
        assert first & 0x80, "the server sends no fragments"
        if size > 125:
            size = int.from_bytes(self.exactly(2 if size == 126 else 8))
        return first & 0x0F, self.exactly(size)

    def event(self) -> dict[str, Any]:
        """Return the next event."""
        opcode, data = self.server_frame()
        assert opcode == TEXT, (opcode, data)
        event: dict[str, Any] = json.loads(data)
        return event

    def barrier(self) -> list[dict[str, Any]]:
        """Return all events before the answer to a ping, in the protocol of the chat."""
        number = str(next(_numbers))
        level()
        self.send(text({"type": "ping", "id": number}))
        heard = [self.event()]
        while heard[-1].get("id") != number:
            heard.append(self.event())
        return heard[:-1]

    def ending(self) -> Ending:
        """Return what comes until the server closes; nothing may follow a Close."""
        events: list[dict[str, Any]] = []
        code, reason = None, ""
        try:
            while True:
                opcode, data = self.server_frame()
                assert code is None, "nothing follows a Close"
                if opcode == TEXT:
                    events.append(json.loads(data))
                elif opcode == CLOSE:
                    code, reason = int.from_bytes(data[:2]), data[2:].decode()
        except (EOFError, ConnectionResetError):
            return Ending(events, code, reason)


class _Slow(Raw):
    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(native.SOL_SOCKET, native.SO_RCVBUF, 4_096)
        self.socket.connect(node_for(address))
        self._heard = b""


class WebChat(Chat):
    """A server with a web door, and its clients."""

    @property
    def web_address(self) -> tuple[str, int]:
        return self.server.web_addresses[0]

    def raw(self, **options: Any) -> Raw:
        """Connect to the web door."""
        return self.track(Raw(self.web_address, **options))

    def slow(self) -> Raw:
        """Connect to the web door with a small buffer, for one who reads late."""
        return self.track(_Slow(self.web_address))

    def member(self, **hello: Any) -> Raw:
        """Connect to the web door, and join the lobby."""
        peer = self.raw()
        peer.hello(**hello)
        return peer


@contextmanager
def web_chatting(**options: Any) -> Iterator[WebChat]:
    """Run such a server. See `chatting`."""
    options["options"] = {"web": "127.0.0.1:0", **options.get("options", {})}
    with chatting(**options) as chat:
        web = WebChat(chat.server)
        try:
            yield web
        finally:
            web.stop()
            chat._stopped = True


def trickled(data: bytes, size: int = 1) -> list[bytes]:
    """Cut data into pieces."""
    return [data[at : at + size] for at in range(0, len(data), size)]
