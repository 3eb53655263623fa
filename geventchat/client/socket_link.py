"""One connection to a server: framing, hello, pings, and how it ends.

Knows nothing of requests and replies; `connection.py` does.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import gevent
import msgspec
from gevent.event import Event as Signal
from gevent.lock import BoundedSemaphore
from gevent.ssl import SSLContext
from msgspec.structs import replace

from geventchat.client.tls import connect
from geventchat.protocol import events, frames, requests
from geventchat.protocol.errors import LOST, PROTOCOL, ProtocolError, Reason
from geventchat.protocol.events import AnyEvent, Bye, Error, Ping, Welcome
from geventchat.protocol.requests import Hello, Request

WELCOME_SECONDS: Final = 10
LAST_WORDS_SECONDS: Final = 1
"""How long to wait for the server's bye once it accepts no more data."""
SILENCE: Final = 1.2
"""How long a server may be silent, in ping intervals: a little longer than its own pings take."""
ANSWER: Final = 0.6
"""How long it may take to answer a ping after that: both together are less than a minute."""
_RECEIVE_BYTES: Final = 65_536
_NOTICE: Final = frames.NOTICE.encode()
_NOT_AN_EVENT: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class NotGeventchat(Exception):
    """A server accepted the connection, but did not reply with a welcome."""


class Ended(Exception):
    """The connection ended before the reply; `bye` says why."""

    def __init__(self, bye: Bye) -> None:
        super().__init__(bye.text)
        self.bye = bye


class ServerError(Exception):
    """The server violated the protocol."""


class SocketLink:
    """Iterate it, once and in one greenlet, for events and the bytes of their frames."""

    def __init__(self, host: str, port: int, tls: SSLContext | None = None) -> None:
        """Connect, and do the TLS handshake if any, for up to 10 s each. Raises OSError."""
        self.ended: Bye | None = None
        """How the connection ended, None while it lasts."""
        self._bye: Bye | None = None
        self._refusal: str | None = None
        """What was wrong with the hello, which the bye does not say."""
        self._ping_seconds: int | None = None
        """Of the server, once it has welcomed."""
        self._over = Signal()
        self._sending = BoundedSemaphore(1)
        self._socket = connect(host, port, tls)
        self._socket.settimeout(None)
        self._frames = self._receive()

    def say_hello(self, hello: Hello) -> Welcome:
        """Send hello and return the welcome with its nonce; waits up to 10 s for it.

        Raises NotGeventchat if there is none, Ended if the server gave a reason.
        """
        try:
            welcome = self._wait_for_welcome(hello)
        except BaseException:
            self.close(LOST)
            raise
        self._bye = None
        self._socket.settimeout(
            2 * welcome.ping_seconds
        )  # of sending, which a server may slow down
        self._ping_seconds = welcome.ping_seconds
        return welcome

    def __iter__(self) -> Iterator[tuple[AnyEvent, int]]:
        """Yield the events after the welcome; answers pings, and stops at bye."""
        lost = LOST
        try:
            for frame in self._frames:
                event = events.decode(frame)
                if isinstance(event, Ping):
                    # In a greenlet of its own: a reader that waits to send would not receive.
                    gevent.spawn(self._try_send, requests.Pong())
                elif isinstance(event, Bye):
                    self._bye = event
                    return
                elif event is not None:
                    yield event, len(frame)
        except OSError as error:
            lost = _lost(f"The connection was lost: {error}.")
        except (ProtocolError, *_NOT_AN_EVENT) as error:
            lost = _lost(f"The server violated the protocol: {error}")
        finally:
            self.close(lost)

    def send(self, frame: bytes) -> None:
        """Send a frame, without its null byte. Waits until the kernel accepts it. Raises Ended."""
        with self._sending:
            if self.ended is None:
                self._transmit(frame + b"\0")
        if self._sending.linkcount():  # the lock goes to who asks next: let others ask first
            gevent.sleep(0)
        if self.ended is not None:
            raise Ended(self.ended)

    def close(self, reason: Reason) -> None:
        """Close the socket; the server's bye, if any, is the reason instead. Never waits."""
        if self.ended is None:
            lost = Bye(code=reason.code, text=reason.text, reconnect=reason.reconnect)
            self.ended = self._bye or lost
            self._socket.close()
            self._over.set()

    def _transmit(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            if isinstance(error, ConnectionError):
                # The server closed and may have sent a reason: let the reader get to it.
                self._over.wait(LAST_WORDS_SECONDS)
            self.close(_lost(f"The connection was lost: {error}."))
        except BaseException:
            # Interrupted: part of the frame may be sent, so nothing can follow it.
            self.close(LOST)
            raise

    def _try_send(self, request: Request) -> None:
        with suppress(Ended):
            self.send(requests.encode(request))

    def _receive(self) -> Iterator[bytes]:
        decoder = frames.Decoder(frames.MAX_SERVER_FRAME_BYTES)
        while data := self._receive_bytes():
            yield from decoder.feed(data)

    def _receive_bytes(self) -> bytes:
        """Wait for bytes. After a silence send one ping; TimeoutError if it continues."""
        if self._ping_seconds is None:
            return self._receive_some()
        try:
            return self._receive_within(SILENCE * self._ping_seconds)
        except TimeoutError:
            gevent.spawn(self._try_send, requests.Ping())
            return self._receive_within(ANSWER * self._ping_seconds)

    def _receive_within(self, seconds: float) -> bytes:
        with gevent.Timeout(seconds, TimeoutError("timed out")):
            return self._receive_some()

    def _receive_some(self) -> bytes:
        try:
            return self._socket.recv(_RECEIVE_BYTES)
        except ValueError:  # of TLS: another greenlet has closed the socket
            return b""

    def _wait_for_welcome(self, hello: Hello) -> Welcome:
        limit = gevent.Timeout(WELCOME_SECONDS)
        try:
            with limit:
                self._socket.sendall(frames.RICH_MARK.encode() + requests.encode(hello) + b"\0")
                for frame in self._frames:
                    if welcome := self._welcome(frame, hello):
                        return welcome
        except gevent.Timeout as late:
            if late is not limit:
                raise
        except (OSError, ProtocolError):
            pass  # reported below: there was no welcome
        raise Ended(self._bye) if self._bye else NotGeventchat

    def _welcome(self, frame: bytes, hello: Hello) -> Welcome | None:
        """Skip frames until the welcome, which only the server can send.

        Remembers notice and bye as the reason if the connection ends, but does not end it for them:
        anybody in the lobby can send such text.
        """
        if frame.startswith(_NOTICE):
            text = frame[len(_NOTICE) :].decode(errors="replace")
            if text.startswith(frames.WRONG_PORT):  # hello would only tell its secrets again
                self._bye = Bye(code=PROTOCOL.code, text=text, reconnect=PROTOCOL.reconnect)
            else:
                self._bye = Bye(code=LOST.code, text=text, reconnect=True)
            return None
        try:
            event = events.decode(frame)
        except _NOT_AN_EVENT:
            return None
        if isinstance(event, Error):
            self._refusal = event.text
        elif isinstance(event, Bye):
            invalid = event.code == PROTOCOL.code and self._refusal is not None
            self._bye = replace(event, text=self._refusal) if invalid else event
        return event if isinstance(event, Welcome) and event.nonce == hello.nonce else None


def _lost(text: str) -> Reason:
    return Reason(LOST.code, LOST.reconnect, text)
