"""The body of a POST, as RFC 9112 frames it, and what it says: for webhooks alone.

Nothing here waits, and no error names the target of the request: the token is in it.
"""

from collections.abc import Callable
from typing import Annotated, Any, Final, NamedTuple, TypeAlias

import h11
import msgspec
from msgspec import Meta, Struct
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHeader

from geventchat.protocol.requests.base import Token
from geventchat.server.transport.base import Client
from geventchat.server.web import http
from geventchat.server.web.http import HEAD_BYTES, MOST_FIELDS, BadRequest

PATH: Final = "/hook"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_MOST_CHUNKS: Final = 1_000
"""Chunks of a body at most: each takes 10 µs, however small it is."""
_BLANKS: Final = " \t"


class Posting(NamedTuple):
    """What a program wants to post."""

    token: str
    """That of its webhook; whether there is one is not known yet."""
    text: str
    author: str | None = None
    key: str | None = None


class Reply(NamedTuple):
    """The answer to a POST."""

    status: int
    body: bytes
    kind: str = "text/plain; charset=utf-8"
    fields: tuple[tuple[str, str], ...] = ()
    last: bool = False
    """Whether the server answers no more requests."""


Hook: TypeAlias = Callable[[Posting, Client], Reply]
"""Posts what a client has sent, and returns the answer. Waits."""


class BadPost(ValueError):
    """A body that is not what it should be."""


class _Content(Struct):
    text: Annotated[str, Meta(min_length=1)]
    author: Annotated[str, Meta(max_length=128)] | None = None
    key: Token | None = None


_decoder: Final = msgspec.json.Decoder(_Content)


def is_hook(path: str) -> bool:
    """Return whether a path is that of a webhook, if there is one."""
    return path == PATH or path.startswith(f"{PATH}/")


class Post:
    """A POST whose body is arriving."""

    __slots__ = (
        "_chunks", "_coding", "_kind", "_most", "_parser", "_pieces", "_said", "_size", "expects",
        "headers", "last", "target",
    )  # fmt: skip

    def __init__(self, head: bytes, most: int) -> None:
        """`head`: its empty line included; `most`: bytes of a body. Raises BadRequest."""
        if head.count(b"\n") > MOST_FIELDS + 2:
            raise BadRequest(431, "Bad request.")
        self._parser = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
        self._most = most
        self._pieces: list[bytes] = []
        self._size = self._chunks = 0
        self._parser.receive_data(head)
        event = self._next()
        if not isinstance(event, h11.Request):
            raise BadRequest(400, "Bad request.")
        self.target = event.target.decode("ascii")
        try:
            self.headers = Headers(
                (name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers
            )
        except InvalidHeader:  # stricter than h11
            raise BadRequest(400, "Bad request.") from None
        if "Transfer-Encoding" in self.headers and (
            "Content-Length" in self.headers or event.http_version != b"1.1"
        ):
            raise BadRequest(400, "The length of the body is ambiguous.")
        self.expects = self._parser.they_are_waiting_for_100_continue
        """Whether the client sends the body only when it is asked to."""
        self.last = event.http_version == b"1.0" or http.is_last(self.headers)
        """Whether the client asks for no more on this connection."""
        self._kind = http.field(self.headers, "Content-Type") or ""
        self._coding = http.field(self.headers, "Content-Encoding") or "identity"
        self._said = http.field(self.headers, "Authorization") or ""
        if int(self.headers.get("Content-Length", 0)) > most:
            raise self._too_large()

    def feed(self, data: bytes) -> bytes | None:
        """Take what has arrived; return what follows the body, None while it is incomplete.

        Raises BadRequest.
        """
        if data:
            self._parser.receive_data(data)
        while not isinstance(event := self._next(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                return None
            assert isinstance(event, h11.Data)
            self._chunks += 1
            self._size += len(event.data)
            if self._size > self._most:
                raise self._too_large()
            if self._chunks > _MOST_CHUNKS:
                raise BadRequest(413, f"The body has over {_MOST_CHUNKS} pieces.")
            self._pieces.append(bytes(event.data))
        rest, _ = self._parser.trailing_data
        return rest

    def posting(self, path: str) -> Posting:
        """Return what the whole of it says. Raises BadPost."""
        token = path.removeprefix(PATH).removeprefix("/")
        if not token:
            scheme, _, rest = self._said.partition(" ")
            token = rest.strip(_BLANKS) if scheme.lower() == "bearer" else ""
        kind = self._kind.partition(";")[0].strip(_BLANKS).lower()
        if kind.startswith("multipart/"):
            raise BadPost("Send text or JSON, not a form with parts.")
        if self._coding.strip(_BLANKS).lower() != "identity":
            raise BadPost("Send it without a Content-Encoding.")
        body = b"".join(self._pieces)
        if kind == "application/json" or kind.endswith("+json"):
            content = _decoded(body)
        else:
            content = _Content(_text(body))
        if any("\0" in each for each in (content.text, content.author, content.key) if each):
            raise BadPost("U+0000 is not allowed.")
        return Posting(token, content.text, content.author, content.key)

    def _next(self) -> Any:
        try:
            return self._parser.next_event()
        except h11.RemoteProtocolError as error:
            # Not its text, which may quote the request.
            status = error.error_status_hint if error.error_status_hint in (431, 501) else 400
            raise BadRequest(status, "Bad request.") from None

    def _too_large(self) -> BadRequest:
        return BadRequest(413, f"The body is larger than {self._most} bytes.")


def _decoded(body: bytes) -> _Content:
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadPost(f"{error}.") from None
    except UnicodeDecodeError:
        raise BadPost("The body is not UTF-8.") from None


def _text(body: bytes) -> str:
    try:
        text = body.decode().removeprefix("\ufeff").rstrip("\r\n")
    except UnicodeDecodeError:
        raise BadPost("The body is not UTF-8.") from None
    if not text:
        raise BadPost("The body is empty.")
    return text
