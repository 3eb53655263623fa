"""A second framing, as different from the first as possible, to test the interface.

It starts with a handshake, sends the length before the content, and has a control frame that it
answers itself.
"""

from collections.abc import Callable, Iterator
from typing import ClassVar

from geventchat.protocol.errors import TOO_LARGE, ProtocolError, Reason
from geventchat.server.transport.base import Client, Ways
from geventchat.server.wire import JSON

PING = PONG = b"\0\0"


class CountedFraming:
    """`HI` is answered with `HELLO`, then frames: two bytes of length, content; none is a ping."""

    doors: ClassVar = "counted", "sealed"
    form: ClassVar = JSON
    overhead: ClassVar = 2
    hello_first: ClassVar = False
    held: bytes | None = None
    ended = False
    named: Callable[[Client | None], None] | None = None
    task: Callable[[Client], None] | None = None

    def __init__(self, frame_bytes: int, ways: Ways) -> None:
        self.opening = True
        self.skipped = 0
        self._limit = frame_bytes
        self._rest = b""
        self._replies = b""

    @property
    def begun(self) -> bool:
        return bool(self._rest)

    def feed(self, data: bytes) -> Iterator[bytes]:
        self.skipped = 0
        self._rest += data
        if self.opening and self._rest.startswith(b"HI"):
            self.opening, self._rest = False, self._rest[2:]
            self._replies += b"HELLO"
        elif self.opening and not b"HI".startswith(self._rest):
            raise ProtocolError("http", "no HI")
        while not self.opening and len(self._rest) >= 2:
            size = int.from_bytes(self._rest[:2])
            if size > self._limit:
                raise ProtocolError("too_large", TOO_LARGE.text, reason=TOO_LARGE)
            if len(self._rest) < 2 + size:
                return
            frame, self._rest = self._rest[2 : 2 + size], self._rest[2 + size :]
            if frame:
                yield frame
            else:
                self.skipped += 1
                self._replies += PONG

    def single(self, data: bytes) -> bytes:
        return b""

    def release(self) -> Iterator[bytes]:
        raise AssertionError("nothing was held")

    def replies(self) -> bytes:
        replies, self._replies = self._replies, b""
        return replies

    def farewell(self, reason: Reason) -> bytes:
        return b"BYE " + reason.code.encode()

    def end(self, reason: Reason) -> bytes:
        return b"" if self.opening else b"END"

    def misplaced(self, head: bytes) -> bytes:
        return b"NOT " + head
