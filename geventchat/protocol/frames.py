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
NULL_HINT: Final = r"A message ends with a null byte, as printf 'hi\0' writes it."
"""The hint for a client whose message is not complete."""
WRONG_PORT: Final = "This port speaks "
"""Begins the notice to a client whose first bytes do not fit: connecting again cannot help."""

Stranger = Literal["tls", "ssh", "http", "proxy", "wide"]
# RFC 9112, 3: a method is a token, and a target holds no space.
_REQUEST_LINE: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ [^\0\r\n ]+ HTTP/1\.\d\r\n")
# proxy-protocol.txt of HAProxy, 2.1: a line of 107 bytes at most. 2.2: 12 bytes begin version 2.
_PROXY_LINE: Final = re.compile(rb"PROXY (?:TCP4|TCP6|UNKNOWN)(?: [^\0\r\n]*)?\r\n")
_PROXY_LINE_BYTES: Final = 107
_PROXY_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
# Each character of such a hello would be a message of its own.
_WIDE_HELLOS: Final = tuple(
    (mark + begin).encode(encoding)
    for mark in ("", "\ufeff")
    for begin in ("\x1e{", '{"')
    for encoding in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
)
_WITH_NULL: Final = (_PROXY_SIGNATURE, *_WIDE_HELLOS)
"""First bytes that hold a null byte, so that a part of them could be a whole frame."""


def _spelled(word: str) -> list[str]:
    """Return patterns of a word's letters, as they are or as JSON may spell them."""
    return [rf"(?:{c}|u00(?:{ord(c):x}|{ord(c.upper()):x}))" for c in word]


# Of text without its backslashes, so that one escaped twice is found too.
_NAMED: Final = rf"""(?<!\w){"".join(_spelled("type"))}["']?\s*[:=]"""
_TYPE: Final = rf"""{_NAMED}[\s\[]*(?P<quote>["']\s*)?"""
_HELLO: Final = re.compile(
    rf"""{_TYPE}(?:{"".join(_spelled("hello"))}(?:(?(quote)\s*["']|\s*[,}}\]])|\s*\Z)"""
    rf"""|{"(?:".join(_spelled("hell"))}{")?" * 3}\Z)""".encode(),
    re.IGNORECASE,
)
"""A type of hello, in JSON or what resembles it, which may be cut off."""
_OTHER_TYPE: Final = re.compile(rf"""{_NAMED}["']?[^"']++["']""".encode(), re.IGNORECASE)
"""In bytes that end with a quote: otherwise each of thousands could reach to their end."""
_HELLO_FIELD: Final = re.compile(rb"""["'](version|client|nonce|token|password)["']\s*:""")


def encode(text: str) -> bytes:
    """Encode a text, which must not contain U+0000, as a frame."""
    return text.encode() + b"\0"


def notice(text: str) -> bytes:
    """Encode a notice of the server to a plain client."""
    return encode(NOTICE + text)


def is_rich(frame: bytes) -> bool:
    """Whether a connection whose first non-empty frame is this one is rich."""
    return frame.startswith(b"\x1e{")


def holds_hello(frame: bytes) -> bool:
    """Whether a frame holds a hello, or the beginning of one, wherever it begins.

    An object with a `type` of `hello`, decodable or not; or one without a type, perhaps because it
    is cut off, with two of the fields that only hello has.
    """
    text = frame[frame.find(b"{") :].replace(b"\\", b"") if b"{" in frame else b""
    if _HELLO.search(text):
        return True
    fields = {found[1] for found in _HELLO_FIELD.finditer(text)}
    end = max(text.rfind(b'"'), text.rfind(b"'")) + 1
    return len(fields) > 1 and not _OTHER_TYPE.search(text, 0, end)


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
    if head.startswith(_PROXY_SIGNATURE) or _PROXY_LINE.match(head, 0, _PROXY_LINE_BYTES):
        return "proxy"
    if head.startswith(_WIDE_HELLOS):
        return "wide"
    return None


def undecided(head: bytes) -> bool:
    """Whether more bytes could make a stranger of these, though they hold whole frames."""
    return any(first.startswith(head) for first in _WITH_NULL)


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
