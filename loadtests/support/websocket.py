"""A client of the web door: what a browser's connection is, by `websockets`' sans-I/O protocol."""

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import gevent
import msgspec
from gevent import socket
from gevent.lock import BoundedSemaphore
from gevent.ssl import SSLContext
from websockets.client import ClientProtocol
from websockets.exceptions import WebSocketException
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Response
from websockets.typing import Origin, Subprotocol
from websockets.uri import parse_uri

from geventchat.client import NotGeventchat
from geventchat.client.socket_link import Ended
from geventchat.client.tls import connect
from geventchat.protocol import events, requests
from geventchat.protocol.errors import LOST, Reason
from geventchat.protocol.events import AnyEvent, Bye, Ping, Welcome
from geventchat.protocol.frames import MAX_SERVER_FRAME_BYTES
from geventchat.protocol.requests import Hello, Request
from geventchat.protocol.websocket import CLOSE_CODES, PATH, SUBPROTOCOL
from loadtests.support.address import Address

_RECEIVE_BYTES: Final = 1 << 16
_HANDSHAKE_BYTES: Final = 1 << 12
_WELCOME_SECONDS: Final = 10.0
_NOT_AN_EVENT: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_SILENCE: Final = 2.0
"""How long a server may be silent, in ping intervals; its own pings take one."""


def text_frame(text: bytes) -> bytes:
    """Encode a text message as a client sends it, with a mask of its own."""
    return Frame(Opcode.TEXT, text).serialize(mask=True)


def shake_hands(
    sock: socket.socket, address: Address, *, path: str = PATH, tls: bool = False
) -> ClientProtocol:
    """Upgrade a connected socket; return the protocol, which may hold the first messages. Waits.

    Raises OSError if the server does not agree.
    """
    secure = "s" if tls else ""
    client = ClientProtocol(
        parse_uri(f"ws{secure}://{address}{path}"),
        origin=Origin(f"http{secure}://{address}"),
        subprotocols=[Subprotocol(SUBPROTOCOL)],
        max_size=MAX_SERVER_FRAME_BYTES,
    )
    client.send_request(client.connect())
    sock.sendall(b"".join(client.data_to_send()))
    answer: Response | None = None
    while answer is None and client.handshake_exc is None:
        data = sock.recv(_HANDSHAKE_BYTES)
        if not data:
            raise ConnectionError("the server closed the connection during the handshake")
        client.receive_data(data)
        answer = next((e for e in client.events_received() if isinstance(e, Response)), None)
    if client.handshake_exc is not None:
        raise ConnectionError(_why(client.handshake_exc, answer))
    return client


def _why(error: Exception, answer: Response | None) -> str:
    text = answer.body.decode(errors="replace").strip() if answer and answer.body else ""
    return f"there is no WebSocket: {text or error}"


class WebLink:
    """Does what `SocketLink` does, over WebSocket, and checks the close codes."""

    def __init__(self, host: str, port: int, tls: SSLContext | None = None) -> None:
        """Connect and shake hands, for up to 10 s each. Raises OSError."""
        self.ended: Bye | None = None
        """How the connection ended, None while it lasts."""
        self._bye: Bye | None = None
        self._sending = BoundedSemaphore(1)
        self._parts: list[bytes] = []
        self._address = Address(host, port)
        self._socket = connect(host, port, tls)
        try:
            self._protocol = shake_hands(self._socket, self._address, tls=tls is not None)
        except BaseException:
            self._socket.close()
            raise
        self._messages = self._receive()

    def say_hello(self, hello: Hello) -> Welcome:
        """Send hello and return the welcome; waits up to 10 s for it.

        Raises NotGeventchat if there is none, Ended if the server gave a reason.
        """
        due = time.monotonic() + _WELCOME_SECONDS
        try:
            self._socket.settimeout(_WELCOME_SECONDS)
            self._protocol.send_text(requests.encode(hello))
            self._flush()
            for text in self._messages:
                event = events.decode(text)
                if isinstance(event, Welcome):
                    self._socket.settimeout(_SILENCE * event.ping_seconds)
                    return event
                if isinstance(event, Bye):
                    raise Ended(event)
                if time.monotonic() > due:
                    break
            raise NotGeventchat(f"No geventchat server at {self._address}.")
        except OSError:
            self.close(LOST)
            raise NotGeventchat(f"No geventchat server at {self._address}.") from None
        except BaseException:
            self.close(LOST)
            raise

    def __iter__(self) -> Iterator[tuple[AnyEvent, int]]:
        """Yield the events after the welcome; answers pings, and stops at bye."""
        lost = LOST
        try:
            for text in self._messages:
                event = events.decode(text)
                if isinstance(event, Ping):
                    gevent.spawn(self._try_send, requests.Pong())
                elif isinstance(event, Bye):
                    self._bye = event  # the Close follows
                elif event is not None:
                    yield event, len(text)
            lost = self._lost(self._wrong_end() or LOST.text)
        except OSError as error:
            lost = self._lost(f"The connection was lost: {error}.")
        except _NOT_AN_EVENT as error:
            lost = self._lost(f"The server violated the protocol: {error}")
        finally:
            self.close(lost)

    def send(self, message: bytes) -> None:
        """Send a message. Waits until the kernel accepts it. Raises Ended."""
        with self._sending:
            if self.ended is None:
                try:
                    self._protocol.send_text(message)
                    self._flush()
                except WebSocketException:  # the server has sent Close: let the reader get to it
                    pass
                except OSError as error:
                    self.close(self._lost(f"The connection was lost: {error}."))
                except BaseException:
                    self.close(LOST)  # a part of the message may be sent, so nothing can follow it
                    raise
        if self.ended is not None:
            raise Ended(self.ended)

    def close(self, reason: Reason) -> None:
        """Close the socket; the server's bye, if any, is the reason instead. Never waits."""
        if self.ended is None:
            lost = Bye(code=reason.code, text=reason.text, reconnect=reason.reconnect)
            self.ended = self._bye or lost
            self._socket.close()

    def _receive(self) -> Iterator[bytes]:
        """Yield the messages until the server sends Close or nothing more. Waits."""
        protocol = self._protocol
        while True:
            for frame in protocol.events_received():
                assert isinstance(frame, Frame)
                if frame.opcode is Opcode.TEXT and frame.fin:
                    yield bytes(frame.data)
                elif frame.opcode in (Opcode.TEXT, Opcode.CONT):
                    self._parts.append(bytes(frame.data))
                    if frame.fin:
                        whole, self._parts = b"".join(self._parts), []
                        yield whole
                elif frame.opcode is Opcode.CLOSE:
                    self._answer()
                else:
                    gevent.spawn(self._answer)
            if protocol.close_rcvd is not None or protocol.parser_exc is not None:
                return
            if not (data := self._receive_bytes()):
                return
            protocol.receive_data(data)

    def _receive_bytes(self) -> bytes:
        try:
            return self._socket.recv(_RECEIVE_BYTES)
        except ValueError:  # of TLS, if the socket was closed here
            return b""

    def _wrong_end(self) -> str | None:
        """Return how the end breaks the protocol, if it does."""
        if self._protocol.parser_exc is not None and self._protocol.close_rcvd is None:
            return f"The server violated RFC 6455: {self._protocol.parser_exc}."
        if self._bye is None:
            return None
        close = self._protocol.close_rcvd
        code = CloseCode.ABNORMAL_CLOSURE if close is None else close.code
        if code == CLOSE_CODES.get(self._bye.code, code):
            return None
        bye, self._bye = self._bye, None
        return f"bye {bye.code} was followed by the close code {int(code)}."

    def _answer(self) -> None:
        """Send what the protocol answers to a control frame."""
        with suppress(OSError), self._sending:
            if self.ended is None:
                self._flush()

    def _flush(self) -> None:
        self._socket.sendall(b"".join(self._protocol.data_to_send()))

    def _try_send(self, request: Request) -> None:
        with suppress(Ended):
            self.send(requests.encode(request))

    @staticmethod
    def _lost(text: str) -> Reason:
        return Reason(LOST.code, LOST.reconnect, text)
