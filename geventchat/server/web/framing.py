"""The framing of the web door: HTTP until a client upgrades, then WebSocket (RFC 6455)."""

from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, Final

from geventchat.protocol import events, frames
from geventchat.protocol.errors import BANNED, PROTOCOL, ProtocolError, Reason
from geventchat.protocol.websocket import PATH
from geventchat.server.networks import Networks
from geventchat.server.transport.base import Client, Ways
from geventchat.server.web import forwarded, http
from geventchat.server.web.http import BadRequest, Head, NotHttp
from geventchat.server.web.messages import Messages
from geventchat.server.web.origin import Host, Names, parsed
from geventchat.server.web.site import File
from geventchat.server.wire import WEBSOCKET

_SLICE_BYTES: Final = 1 << 10
"""What is decoded at a time: at most 170 frames, which take 1 ms."""
_MOST_REQUESTS: Final = 100
"""Requests on one connection before it is closed."""
_NOT_HTTP: Final = "This port speaks HTTP/1.1 and WebSocket. Open its address in a browser."


class Web:
    """What the connections of the web door share. Called, it makes the framing of one."""

    doors: Final = "web", "web"

    def __init__(
        self, site: Mapping[str, File], names: Names, trouble: Callable[[], str | None]
    ) -> None:
        """`trouble`: why the server is not ready; None if it is."""
        self.site = site
        self.names = names
        self.proxies = Networks()
        """Proxies that are not the client when they forward for one another."""
        self.trouble = trouble

    def __call__(self, frame_bytes: int, ways: Ways) -> "WebFraming":
        return WebFraming(self, frame_bytes, ways)


class WebFraming:
    """See `Framing`."""

    __slots__ = (
        "_frame_bytes", "_head", "_messages", "_replies", "_requests", "_ways", "_web", "ended",
        "named", "skipped",
    )  # fmt: skip
    form: ClassVar = WEBSOCKET
    overhead: ClassVar = 6
    held: bytes | None = None
    hello_first: ClassVar = True

    def __init__(self, web: Web, frame_bytes: int, ways: Ways) -> None:
        self._web = web
        self._ways = ways
        self._frame_bytes = frame_bytes
        self._head = b""
        """The beginning of a request."""
        self._requests = 0
        self._replies = b""
        self._messages: Messages | None = None
        self.ended = False
        self.named: Callable[[Client | None], None] | None = None
        self.skipped = 0

    @property
    def opening(self) -> bool:
        return self._messages is None

    @property
    def begun(self) -> bool:
        if self._messages is None:
            return bool(self._head)
        return self._messages.begun

    def feed(self, data: bytes) -> Iterator[bytes]:
        messages = self._messages
        if messages is None:
            self._head += data
            yield from self._answer_requests()
            return
        for start in range(0, len(data), _SLICE_BYTES):
            texts, skipped, error = messages.decode(data[start : start + _SLICE_BYTES])
            yield from texts
            if error is not None:
                raise error
            self.ended, self.skipped = messages.ended, skipped
            if skipped:
                yield b""
            if self.ended:
                return

    def release(self) -> Iterator[bytes]:
        return iter(())

    def replies(self) -> bytes:
        if self._messages is not None and not self._replies:
            return self._messages.reply()
        replies, self._replies = self._replies, b""
        return replies

    def farewell(self, reason: Reason) -> bytes:
        if self._messages is None:
            status = 403 if reason.code == BANNED.code else 503
            return self._replies or BadRequest(status, reason.text).response
        bye = events.Bye(code=reason.code, text=reason.text, reconnect=reason.reconnect)
        return self.form.encode(bye)

    def end(self, reason: Reason) -> bytes:
        return b"" if self._messages is None else self._messages.end(reason)

    def misplaced(self, head: bytes) -> bytes:
        if frames.stranger(head) == "http":
            return BadRequest(400, "This port speaks HTTPS; use an address with https://.").response
        return self._to_stranger(head)

    def _answer_requests(self) -> Iterator[bytes]:
        """Answer the requests that are complete, and yield after each."""
        head = b""
        try:
            while self._head and self._messages is None and not self.ended:
                head, self._head = http.split(self._head)
                if not head:
                    return
                self._replies += _fitting(head, self._answer(http.parse(head)))
                yield b""
        except NotHttp:
            self._replies += self._to_stranger(self._head)
            raise ProtocolError("http", _NOT_HTTP, reason=PROTOCOL) from None
        except BadRequest as error:
            self._replies += _fitting(head, error.response)
            raise ProtocolError("http", str(error), reason=PROTOCOL) from None

    def _to_stranger(self, head: bytes) -> bytes:
        """Encode the answer to a client that does not speak HTTP."""
        if head.startswith(frames.RICH_MARK.encode()) or b"\0" in head:
            ways = self._ways
            text = f"HTTP and WebSocket. Connect to port {ways.port} with: {ways.command}"
            return frames.notice(f"{frames.WRONG_PORT}{text}")
        return BadRequest(400, _NOT_HTTP).response

    def _answer(self, head: Head) -> bytes:
        """Return the response to a request. Raises BadRequest."""
        if self.named is not None:
            self.named(forwarded.client(head.request.headers, self._web.proxies))
        host = self._host(head)
        if head.path == PATH:
            if not self._web.names.may_talk(head.field("Origin"), host):
                text = "Pages from elsewhere may not talk to this server; --web-origin adds them."
                raise BadRequest(403, text)
            if self._head:
                raise BadRequest(400, "Data followed before the handshake was answered.")
            response = head.upgrade()
            self._messages = Messages(self._frame_bytes)
            return response
        self._requests += 1
        reply = self._page(head)
        self.ended = head.last or self._requests == _MOST_REQUESTS
        if self.ended:
            line, _, rest = reply.partition(b"\r\n")
            reply = line + b"\r\nConnection: close\r\n" + rest
        return reply

    def _host(self, head: Head) -> Host:
        """Return the host that a request is for, a name of this server. Raises BadRequest."""
        names, field = self._web.names, head.field("Host")
        if self.named is not None and (named := forwarded.host(head.request.headers)) is not None:
            host = parsed(named)
            if host is None:
                raise BadRequest(400, "The host that the proxy names is malformed.")
            return host
        if field is None and head.request.protocol == "HTTP/1.0":
            return Host(names.host, None)  # health checks of that version name none
        if field is not None and head.authority is not None:
            field = head.authority
        host = parsed(field or "")
        if host is None:
            raise BadRequest(400, "The field Host is missing or malformed.")
        if not names.own(host):
            text = f"{host.name[:64]} is not a name of this server; --web-host adds names."
            raise BadRequest(421, text)
        return host

    def _page(self, head: Head) -> bytes:
        if head.path == "/healthz":
            trouble = self._web.trouble()
            return http.response(
                503 if trouble else 200, http.TEXT, f"{trouble or 'ready'}\n".encode(),
                ("Cache-Control", "no-store"),
            )  # fmt: skip
        file = self._web.site.get(head.path)
        if file is None:
            return http.response(404, http.TEXT, b"There is nothing here; the page is at /.\n")
        return http.send_file(head, file)


def _fitting(head: bytes, response: bytes) -> bytes:
    """Return a response without its content if a request must not be answered with any."""
    return response.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if head[:5] == b"HEAD " else response
