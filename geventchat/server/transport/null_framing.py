"""The framing of the chat port: text, then a null byte. It recognises who speaks something else."""

from collections.abc import Callable, Iterator
from typing import ClassVar, Final

from geventchat.protocol import frames
from geventchat.protocol.errors import HTTP, MISPLACED_HELLO, PROXY, ProtocolError, Reason
from geventchat.server.transport.base import Client, Ways
from geventchat.server.wire import JSON

_FIRST_BYTES: Final = 16
_TLS_ALERT: Final = b"\x15\x03\x01\x00\x02\x02\x0a"
"""RFC 8446, 6: an alert record; fatal, unexpected_message."""
# RFC 4253, 4.2: a server may send lines before its version; a client shows or drops them.
_SSH_LINE: Final = b"This port speaks geventchat, not SSH.\r\n"
_REASONS: Final[dict[frames.Stranger, Reason]] = {"proxy": PROXY, "wide": MISPLACED_HELLO}
"""Where it is not HTTP, which stands for all programs that connect by accident."""


class NullFraming(frames.Decoder):
    """See `Framing`."""

    __slots__ = "_stranger", "_ways", "held"
    doors: ClassVar = "tcp", "tls"
    form: ClassVar = JSON
    overhead: ClassVar = 1
    hello_first: ClassVar = False
    opening = False
    ended = False
    named: Callable[[Client | None], None] | None = None
    task: Callable[[Client], None] | None = None

    def __init__(self, frame_bytes: int, ways: Ways) -> None:
        super().__init__(frame_bytes)
        self._ways = ways
        self.held: bytes | None = b""
        self._stranger: frames.Stranger | None = None

    @property
    def begun(self) -> bool:
        return self._part is not None or bool(self.held)

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self.held is not None:
            data = self._look(data)
        return frames.Decoder.feed(self, data)  # `super()` costs more, for every read

    def single(self, data: bytes) -> bytes:
        size = len(data) - 1
        if self.held is None and self._part is None and data.find(b"\0") == size <= self._limit:
            return data[:-1]
        return b""

    def release(self) -> Iterator[bytes]:
        held, self.held = self.held, None
        return frames.Decoder.feed(self, held or b"")

    def replies(self) -> bytes:
        return b""

    def farewell(self, reason: Reason) -> bytes:
        match self._stranger:
            case "http":
                return self._page()
            case "tls":
                return _TLS_ALERT
            case "ssh":
                return _SSH_LINE
            case _:
                return frames.notice(reason.text)

    def end(self, reason: Reason) -> bytes:
        return b""

    def misplaced(self, head: bytes) -> bytes:
        match frames.stranger(head):
            case "http":
                return self._page()
            case "proxy":
                return frames.notice(PROXY.text)
            case _:
                return frames.notice(f"{frames.WRONG_PORT}TLS. Connect with: {self._ways.command}")

    def _look(self, data: bytes) -> bytes:
        """Recognise another protocol; return what of the bytes is not held. Raises ProtocolError.

        The first bytes or the first line tell, so a trickle is not looked at again for each piece.
        """
        data, self.held = (self.held or b"") + data, b""
        begun = self._part or b""
        if not begun or len(begun) + len(data) <= _FIRST_BYTES or b"\n" in data:
            head = bytes(begun) + data
            self._stranger = frames.stranger(head)
            if self._stranger is not None:
                reason = _REASONS.get(self._stranger, HTTP)
                raise ProtocolError("http", reason.text, reason=reason)
            if frames.undecided(head):
                if b"\0" not in data:
                    return data
                self.held = data
                return b""
        if b"\n" in data or b"\0" in data:
            self.held = None
        return data

    def _page(self) -> bytes:
        ways = self._ways
        how = f"Connect with: {ways.command}"
        if ways.page is not None:
            how = f"Open {ways.page} in a browser, or connect with: {ways.command}"
        page = f"This port speaks geventchat, not HTTP. {how}\n".encode()
        return (
            b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
            b"Content-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(page), page)
        )
