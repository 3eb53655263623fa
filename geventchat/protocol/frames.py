"""Frames: UTF-8 text followed by one null byte, in any cut of the bytes.

Also what a connection's first bytes say of it: whether it is rich, or no chat client at all.
"""

import re
from collections.abc import Iterator
from typing import Final, Literal

from geventchat.protocol.errors import TOO_LARGE, ProtocolError

MAX_FRAME_BYTES: Final = 65_536
"""What a client may send before the null byte, unless the server is told otherwise."""
MAX_SERVER_FRAME_BYTES: Final = 1 << 20
"""What a server may send before the null byte."""
RICH_MARK: Final = "\x1e"
"""U+001E, record separator: it and `{` begin the hello of a rich connection."""
NOTICE: Final = "* geventchat: "
"""Begins the one kind of line that a plain client hears from the server itself."""

Stranger = Literal["tls", "ssh", "http"]
# RFC 9112, 3: a method is a token, and a target holds no space.
_REQUEST_LINE: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ [^\0\r\n ]+ HTTP/1\.\d\r\n")


def encode(text: str) -> bytes:
    """Give the frame of a text. The text holds no U+0000, which would split it in two."""
    return text.encode() + b"\0"


def notice(text: str) -> bytes:
    """Give the frame that tells a plain client something about its own connection."""
    return encode(NOTICE + text)


def is_rich(frame: bytes) -> bool:
    """Say whether a connection whose first non-empty frame is this one is rich."""
    return frame.startswith(b"\x1e{")


def stranger(head: bytes) -> Stranger | None:
    """Name what the first bytes of a connection speak, if that is known not to be chat.

    `head` is all that came so far; its first line tells. None: chat, or too little to tell.
    """
    if head.startswith(b"\x16\x03"):
        return "tls"
    if head.startswith(b"SSH-2.0-"):
        return "ssh"
    if _REQUEST_LINE.match(head):
        return "http"
    return None


class Decoder:
    """Cuts bytes into frames, whatever pieces they arrive in.

    Holds at most one unfinished frame: `limit` bytes and the last piece fed. Each byte is looked
    at once, so a trickle costs no more than a flood.
    """

    __slots__ = "_limit", "_part", "skipped"

    def __init__(self, limit: int = MAX_FRAME_BYTES) -> None:
        self._limit = limit
        # None while there is nothing unfinished: most of thousands of clients, most of the time.
        self._part: bytearray | None = None
        self.skipped = 0
        """How many of the frames that the last bytes completed were empty and left out."""

    @property
    def unfinished(self) -> bytes:
        """The bytes after the last null byte: a frame that has begun."""
        return bytes(self._part or b"")

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the frames that these bytes complete, oldest first, without their null bytes.

        Empty frames are left out. The frames are not yet known to be UTF-8.
        Raises ProtocolError, after the frames before it, for a frame over the limit; that ends
        the connection. Exhaust the iterator before feeding more. Never waits.
        """
        *frames, rest = data.split(b"\0")
        part = self._part
        if part is not None and frames:
            part += frames[0]
            frames[0] = bytes(part)
            self._part = part = None
        self.skipped = frames.count(b"")
        for frame in frames:
            if len(frame) > self._limit:
                raise self._too_large()
            if frame:
                yield frame
        if rest:
            if part is None:
                part = self._part = bytearray()
            part += rest
            if len(part) > self._limit:
                raise self._too_large()

    def _too_large(self) -> ProtocolError:
        text = f"A frame may have at most {self._limit:,} bytes."
        return ProtocolError("too_large", text, reason=TOO_LARGE)
