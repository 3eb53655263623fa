"""Framing: UTF-8 text terminated by a null byte, decoded from chunks of any size.

Also detects from the first bytes whether a connection is rich, or no chat client at all.
"""

import re
from collections.abc import Iterator
from typing import Final, Literal

from geventchat.protocol.errors import TOO_LARGE, ProtocolError

MAX_FRAME_BYTES: Final = 65_536
"""Default limit of a client's frame, without the null byte."""
MAX_SERVER_FRAME_BYTES: Final = 1 << 20
"""Limit of a server's frame, without the null byte."""
RICH_MARK: Final = "\x1e"
"""U+001E, record separator: with `{` it starts the hello of a rich connection."""
NOTICE: Final = "* geventchat: "
"""Prefix of lines that plain clients get from the server itself."""

Stranger = Literal["tls", "ssh", "http"]
# RFC 9112, 3: a method is a token, and a target holds no space.
_REQUEST_LINE: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ [^\0\r\n ]+ HTTP/1\.\d\r\n")


def encode(text: str) -> bytes:
    """Encode a text, which must not contain U+0000, as a frame."""
    return text.encode() + b"\0"


def notice(text: str) -> bytes:
    """Encode a notice of the server to a plain client."""
    return encode(NOTICE + text)


def is_rich(frame: bytes) -> bool:
    """Whether a connection whose first non-empty frame is this one is rich."""
    return frame.startswith(b"\x1e{")


def stranger(head: bytes) -> Stranger | None:
    """Detect another protocol by the first bytes of a connection.

    `head` is everything received so far. None: chat, or not enough bytes to tell.
    """
    if head.startswith(b"\x16\x03"):
        return "tls"
    if head.startswith(b"SSH-2.0-"):
        return "ssh"
    if _REQUEST_LINE.match(head):
        return "http"
    return None


class Decoder:
    """Splits a byte stream into frames, whatever chunks it arrives in.

    Buffers at most one incomplete frame: `limit` bytes and the last chunk. Each byte is examined
    once, so many small chunks cost no more than one large one.
    """

    __slots__ = "_limit", "_part", "skipped"

    def __init__(self, limit: int = MAX_FRAME_BYTES) -> None:
        self._limit = limit
        # None while no frame is incomplete, to save memory: the usual state of an idle client.
        self._part: bytearray | None = None
        self.skipped = 0
        """How many of the frames that the last bytes completed were empty and left out."""

    @property
    def unfinished(self) -> bytes:
        """The bytes after the last null byte: an incomplete frame."""
        return bytes(self._part or b"")

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the frames completed by these bytes, oldest first, without their null bytes.

        Skips empty frames. Does not check that they are UTF-8. Raises ProtocolError, after the
        frames before it, for a frame over the limit, which ends the connection. Exhaust the
        iterator before feeding more. Never waits.
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
        text = f"Frame too large: at most {self._limit:,} bytes."
        return ProtocolError("too_large", text, reason=TOO_LARGE)
