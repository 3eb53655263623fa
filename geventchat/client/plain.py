"""A client of the original protocol, which has texts and nothing else.

The terminal and the pipe use it like a `Connection`: received texts are posts without an author,
and sent texts come back as posts with their key, as if they had been stored.
"""

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, Self

import gevent
from gevent.lock import BoundedSemaphore
from gevent.ssl import SSLContext

from geventchat.client.events import ClientEvent
from geventchat.client.inbox import Inbox
from geventchat.client.keys import new_key
from geventchat.client.socket_link import Ended
from geventchat.client.tls import connect, end_sending
from geventchat.protocol import frames
from geventchat.protocol.errors import LOST, QUIT, ProtocolError, Reason
from geventchat.protocol.events import Bye, Post
from geventchat.protocol.names import LOBBY

SILENCE_SECONDS: Final = 30
"""How long a server may be silent after `say_all`, or accept no data."""
ME: Final = "you"
_CLOSED: Final = Reason(LOST.code, True, "The server closed the connection.")


class PlainConnection:
    """A client of any server of the original protocol, geventchat or not."""

    def __init__(self, host: str, port: int, tls: SSLContext | None = None) -> None:
        """Connect, and do the TLS handshake if any, for up to 10 s each. Raises OSError."""
        self.ended: Bye | None = None
        """Why the connection ended: `quit` if the server closed it after `say_all`, else `lost`."""
        self._said_all = False
        self._inbox = Inbox()
        self._sending = BoundedSemaphore(1)
        self._socket = connect(host, port, tls)
        self._socket.settimeout(SILENCE_SECONDS)
        self._reader = gevent.spawn(self._read)

    def __iter__(self) -> Iterator[ClientEvent]:
        """Yield received and sent texts until the connection ends. Waits."""
        while event := self._inbox.get():
            yield event

    def send(self, room: str, text: str, *, key: str | None = None) -> str:
        """Send a text and return the key of the post it becomes.

        Waits up to 30 s while the server does not accept it; raises Ended.
        """
        key = key or new_key()
        with self._sending:
            if self.ended is None:
                try:
                    self._socket.sendall(frames.encode(text.replace("\0", "")))
                except OSError as error:
                    self._end(Reason(LOST.code, True, f"The connection was lost: {error}."))
        if self.ended is not None:
            raise Ended(self.ended)
        self._inbox.put(_post(ME, text, key), len(text))
        return key

    def say_all(self) -> None:
        """Half-close, and wait until the server closes or is silent for 30 s.

        Raises Ended if the connection is lost, since the server may not have read everything.
        """
        self._said_all = True
        with suppress(OSError):  # it may have closed first
            end_sending(self._socket)
        self._reader.join()
        if self.ended is not None and self.ended.code != QUIT.code:
            raise Ended(self.ended)

    def close(self) -> None:
        """Close the connection. Never waits."""
        self._end(QUIT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> None:
        decoder = frames.Decoder(frames.MAX_SERVER_FRAME_BYTES)
        reason = LOST
        try:
            while data := self._receive():
                for frame in decoder.feed(data):
                    self._inbox.put(_post("", frame.decode(errors="replace")), len(frame))
                self._inbox.wait_for_space()
            reason = QUIT if self._said_all else _CLOSED
        except (OSError, ProtocolError) as error:
            reason = Reason(LOST.code, True, f"The connection was lost: {error}.")
        finally:
            self._end(reason)
            self._inbox.put(None)

    def _receive(self) -> bytes:
        while True:
            try:
                return self._socket.recv(65_536)
            except TimeoutError:
                if self._said_all:
                    return b""

    def _end(self, reason: Reason) -> None:
        if self.ended is None:
            self.ended = Bye(code=reason.code, text=reason.text, reconnect=reason.reconnect)
            self._socket.close()


def _post(author: str, text: str, key: str | None = None) -> Post:
    return Post(LOBBY, 0, author, int(time.time() * 1000), text, key)
