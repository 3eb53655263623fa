"""HTTP as far as the web door speaks it: GET and HEAD, and the upgrade to WebSocket.

None of these has a body, so no two servers can disagree on where one ends. Nothing here waits.
"""

import logging
import re
from collections.abc import Sequence
from email.utils import formatdate
from http import HTTPStatus
from typing import Final, NamedTuple

from websockets.datastructures import Headers, MultipleValuesError
from websockets.exceptions import (
    HeaderLineTooLong,
    NegotiationError,
    RequestLineTooLong,
    TooManyHeaders,
)
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from geventchat.protocol.websocket import SUBPROTOCOL
from geventchat.server.web.site import File

HEAD_BYTES: Final = 16 << 10
"""The largest head of a request; a line of it has at most 8 KiB."""
MOST_FIELDS: Final = 128
"""Fields of a head; websockets has the same limit."""
METHODS: Final = ("GET", "HEAD")
_BEGINS: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}(?: |\Z)")
_LINE: Final = re.compile(rb"[^ ]+ [!-~]+ HTTP/1\.[01]\r\n")
"""The first line of a request: RFC 9112, 3."""
_ABSOLUTE: Final = re.compile(r"https?://([^/?]*)", re.IGNORECASE)
"""RFC 9112, 3.2.2: how a target in absolute form begins."""
_BARE: Final = re.compile(rb"\0|(?<!\r)\n")
"""What no head holds: RFC 9112, 2.2."""
_FIELDS: Final = (("X-Content-Type-Options", "nosniff"),)
_DOCUMENT_FIELDS: Final = (
    ("Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
     "media-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "
     "form-action 'none'; frame-ancestors 'none'"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
)  # fmt: skip
"""For what a browser shows by itself. For the other files they mean nothing, and are many bytes."""
_PARTS: Final = ("text/css", "text/javascript")
"""The types of files that are only parts of a document."""
_STATUSES: Final[dict[type[Exception], int]] = {
    RequestLineTooLong: 414,
    HeaderLineTooLong: 431,
    TooManyHeaders: 431,
}
"""What is not answered with 400."""
_VERSION: Final = "Sec-WebSocket-Version", "13"
TEXT: Final = "text/plain; charset=utf-8"

# The library logs each connection with INFO.
LOG: Final = logging.getLogger("websockets.server")
LOG.setLevel(logging.WARNING)


class BadRequest(Exception):
    """A request that is not answered with a file; `response` says why, and is the last one."""

    def __init__(self, status: int, text: str, *fields: tuple[str, str]) -> None:
        super().__init__(text)
        body = f"{text}\n".encode()
        self.response = response(status, TEXT, body, ("Connection", "close"), *fields)


class NotHttp(Exception):
    """What came is no request."""


class Head(NamedTuple):
    """The head of a request."""

    request: Request
    path: str
    """Without the query; not decoded, for no path that exists has to be."""
    authority: str | None
    """The host in a target of absolute form, which counts more than Host; None: there is none."""
    protocol: ServerProtocol
    """What has parsed it, and can accept it as a WebSocket handshake."""

    @property
    def last(self) -> bool:
        """Whether the client asks for no more on this connection."""
        return self.request.protocol == "HTTP/1.0" or is_last(self.request.headers)

    def upgrade(self) -> bytes:
        """Accept it as a WebSocket handshake; return the response. Raises BadRequest."""
        answer = self.protocol.accept(self.request)
        if answer.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            text = answer.body.decode().partition("\n")[0]
            fields = [(name, answer.headers[name]) for name in ("Allow", "Upgrade")
                      if name in answer.headers]  # fmt: skip
            raise BadRequest(answer.status_code, text, *fields, _VERSION)
        self.protocol.send_response(answer)
        return b"".join(self.protocol.data_to_send())


def split(data: bytes) -> tuple[bytes, bytes]:
    """Split the head of the first request, its empty line included, from what follows it.

    It is empty while it is incomplete. Raises BadRequest if it is too large, NotHttp.
    """
    end = data.find(b"\r\n\r\n") + 4
    head = data if end < 4 else data[:end]
    line = b"\r\n" in head
    if not _BEGINS.match(head) or (line and not _LINE.match(head)) or _BARE.search(head):
        raise NotHttp
    if len(head) > HEAD_BYTES:
        raise BadRequest(431 if line else 414, "The head of the request is too large.")
    return (b"", data) if end < 4 else (head, data[end:])


def parse(head: bytes) -> Head:
    """Parse the head of a request, the empty line included. Raises BadRequest."""
    method = head.partition(b" ")[0].decode("ascii")
    if method not in METHODS:
        raise wrong_method()
    protocol = ServerProtocol(select_subprotocol=_select, logger=LOG)
    protocol.receive_data(head)
    for event in protocol.events_received():
        assert isinstance(event, Request)
        return Head(event, *path(event.path), protocol)
    error = protocol.handshake_exc
    assert error is not None
    # Without what it quotes, since this is logged: a field may hold the token of a webhook.
    reason = str(error.__cause__ or error).partition(": ")[0]
    raise BadRequest(_STATUSES.get(type(error), 400), f"Bad request: {reason}.")


def path(target: str) -> tuple[str, str | None]:
    """Return the path of a target, and the host if it is of absolute form."""
    absolute = _ABSOLUTE.match(target)
    if absolute is None:
        return target.partition("?")[0], None
    return target[absolute.end() :].partition("?")[0] or "/", absolute[1]


def field(headers: Headers, name: str) -> str | None:
    """Return a field; None: it is not there. Raises BadRequest if it is repeated."""
    try:
        value: str | None = headers.get(name)
    except MultipleValuesError:
        raise BadRequest(400, f"The field {name} is repeated.") from None
    return value


def is_last(headers: Headers) -> bool:
    """Return whether the client asks for no more on this connection."""
    said = ",".join(headers.get_all("Connection")).lower()
    return "close" in re.split(r"[ ,\t]+", said)


def wrong_method() -> BadRequest:
    """Return the answer to a method that a page does not have."""
    return BadRequest(405, "Only GET and HEAD.", ("Allow", ", ".join(METHODS)))


def response(status: int, kind: str | None, body: bytes, *fields: tuple[str, str]) -> bytes:
    """Encode a response; without a `kind` of content it has neither type nor length."""
    content = () if kind is None else (("Content-Type", kind), ("Content-Length", str(len(body))))
    headers = Headers(Date=formatdate(usegmt=True))
    document = () if kind is not None and kind.startswith(_PARTS) else _DOCUMENT_FIELDS
    for name, value in (*content, *fields, *_FIELDS, *document):
        headers[name] = value
    line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
    return line.encode() + headers.serialize() + body


def send_file(head: Head, file: File) -> bytes:
    """Encode the response with a file, or that the client's copy of it is still good."""
    fields = [("ETag", file.tag), ("Cache-Control", "no-cache"), ("Vary", "Accept-Encoding")]
    known = ",".join(head.request.headers.get_all("If-None-Match"))
    if {file.tag.removeprefix("W/"), "*"} & {
        each.strip().removeprefix("W/") for each in known.split(",")
    }:
        return response(304, None, b"", *fields)
    body = file.body
    if file.gzipped is not None and _takes_gzip(head.request.headers):
        body = file.gzipped
        fields.append(("Content-Encoding", "gzip"))
    return response(200, file.kind, body, *fields)


def _takes_gzip(headers: Headers) -> bool:
    """RFC 9110, 12.5.3: `gzip;q=0` means that it is not wanted."""
    codings = ",".join(headers.get_all("Accept-Encoding")).lower().replace(" ", "")
    for each in codings.split(","):
        name, _, quality = each.partition(";q=")
        if name in ("gzip", "*"):
            return quality.strip("0.") != "" or not quality
    return False


def _select(protocol: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Choose ours; a program that offers none is welcome, too."""
    if not offered:
        return None
    if SUBPROTOCOL in offered:
        return Subprotocol(SUBPROTOCOL)
    raise NegotiationError(f"the subprotocol here is {SUBPROTOCOL}")
