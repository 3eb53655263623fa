"""The framing of the web door: HTTP until a client upgrades, then WebSocket (RFC 6455)."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import ClassVar, Final

from websockets.datastructures import Headers

from geventchat.protocol import events, frames
from geventchat.protocol.errors import BANNED, IDLE, PROTOCOL, ProtocolError, Reason
from geventchat.protocol.websocket import PATH
from geventchat.server.networks import Networks
from geventchat.server.transport.base import Client, Ways
from geventchat.server.web import forwarded, http, posts
from geventchat.server.web.http import BadRequest, Head, NotHttp
from geventchat.server.web.messages import Messages
from geventchat.server.web.origin import Host, Names, parsed
from geventchat.server.web.posts import BadPost, Hook, Post, Reply
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
        self,
        site: Mapping[str, File],
        names: Names,
        trouble: Callable[[], str | None],
        hook: Hook,
    ) -> None:
        """`trouble`: why the server is not ready; None if it is."""
        self.site = site
        self.names = names
        self.proxies = Networks()
        """Proxies that are not the client when they forward for one another."""
        self.trouble = trouble
        self.hook = hook

    def __call__(self, frame_bytes: int, ways: Ways) -> "WebFraming":
        return WebFraming(self, frame_bytes, ways)


class WebFraming:
    """See `Framing`."""

    __slots__ = (
        "_frame_bytes", "_head", "_messages", "_path", "_post", "_replies", "_requests", "_ways",
        "_web", "ended", "named", "skipped", "task",
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
        self._post: Post | None = None
        """The request whose body is arriving,"""
        self._path = ""
        """and its path."""
        self._requests = 0
        self._replies = b""
        self._messages: Messages | None = None
        self.ended = False
        self.named: Callable[[Client | None], None] | None = None
        self.task: Callable[[Client], None] | None = None
        self.skipped = 0

    @property
    def opening(self) -> bool:
        return self._messages is None

    @property
    def begun(self) -> bool:
        if self._messages is None:
            return bool(self._head) or self._post is not None
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

    def single(self, data: bytes) -> bytes:
        return b"" if self._messages is None else self._messages.single(data)

    def release(self) -> Iterator[bytes]:
        return iter(())

    def replies(self) -> bytes:
        if self._messages is not None and not self._replies:
            return self._messages.reply()
        replies, self._replies = self._replies, b""
        return replies

    def farewell(self, reason: Reason) -> bytes:
        if self._messages is None and reason is IDLE:
            late = BadRequest(408, "The body did not arrive in time.")
            return late.response if self._post is not None else b""
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
        """Answer the requests that are complete, and yield after each, and after a POST's head."""
        head = b""
        try:
            while self._messages is None and not self.ended:
                if self._post is not None:
                    data, self._head = self._head, b""
                    rest = self._post.feed(data)
                    if rest is None:
                        return
                    self._head = rest
                    self.task = partial(self._perform, self._post)
                    self._post = None
                    yield b""
                    self.task = None
                    continue
                if not self._head:
                    return
                head = b""  # or what is wrong with the next would be answered as if it were this
                head, self._head = http.split(self._head)
                if not head:
                    return
                if head.startswith(b"POST "):
                    self._post = self._begin_post(head)
                    if self._post.expects and not self._head:
                        self._replies += posts.CONTINUE
                else:
                    self._replies += _fitting(head, self._answer(http.parse(head)))
                yield b""
        except NotHttp:
            self._replies += self._to_stranger(self._head)
            raise ProtocolError("http", _NOT_HTTP, reason=PROTOCOL) from None
        except BadRequest as error:
            self._post = None
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
        host = self._host(head.request.headers, head.request.protocol, head.authority)
        if head.path == PATH:
            self._check_origin(head.request.headers, host)
            if self._head:
                raise BadRequest(400, "Data followed before the handshake was answered.")
            response = head.upgrade()
            self._messages = Messages(self._frame_bytes)
            return response
        return self._counted(self._page(head), last=head.last)

    def _begin_post(self, head: bytes) -> Post:
        """Return the POST that begins with a head. Raises BadRequest."""
        post = Post(head, self._frame_bytes)
        self._path, authority = http.path(post.target)
        host = self._host(post.headers, "HTTP/1.1", authority)
        if not posts.is_hook(self._path):
            raise http.wrong_method()
        self._check_origin(post.headers, host)
        return post

    def _perform(self, post: Post, client: Client) -> None:
        """Do what a POST asks for, and add the response to the replies. Waits."""
        try:
            reply = self._web.hook(post.posting(self._path), client)
        except BadPost as error:
            reply = Reply(400, f"{error}\n".encode())
        body = http.response(
            reply.status, reply.kind, reply.body, *reply.fields, ("Cache-Control", "no-store")
        )
        self._replies += self._counted(body, last=reply.last or post.last)

    def _counted(self, response: bytes, *, last: bool) -> bytes:
        """Count a request; return its response, which says so if it is the last."""
        self._requests += 1
        self.ended = last or self._requests == _MOST_REQUESTS
        if self.ended:
            line, _, rest = response.partition(b"\r\n")
            response = line + b"\r\nConnection: close\r\n" + rest
        return response

    def _check_origin(self, headers: Headers, host: Host) -> None:
        """Raise BadRequest if a page from elsewhere asks for more than pages."""
        if not self._web.names.may_talk(http.field(headers, "Origin"), host):
            text = "Pages from elsewhere may not talk to this server; --web-origin adds them."
            raise BadRequest(403, text)

    def _host(self, headers: Headers, protocol: str, authority: str | None) -> Host:
        """Return the host that a request is for, a name of this server. Raises BadRequest.

        A proxy says who its client is, too.
        """
        if self.named is not None:
            self.named(forwarded.client(headers, self._web.proxies))
        names, field = self._web.names, http.field(headers, "Host")
        if self.named is not None and (named := forwarded.host(headers)) is not None:
            host = parsed(named)
            if host is None:
                raise BadRequest(400, "The host that the proxy names is malformed.")
            return host
        if field is None and protocol == "HTTP/1.0":
            return Host(names.host, None)  # health checks of that version name none
        if field is not None and authority is not None:
            field = authority
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
        if posts.is_hook(head.path):
            raise BadRequest(405, "Only POST.", ("Allow", "POST"))
        file = self._web.site.get(head.path)
        if file is None:
            return http.response(404, http.TEXT, b"There is nothing here; the page is at /.\n")
        return http.send_file(head, file)


def _fitting(head: bytes, response: bytes) -> bytes:
    """Return a response without its content if a request must not be answered with any."""
    return response.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if head[:5] == b"HEAD " else response
