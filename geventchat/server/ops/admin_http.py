"""The admin port: `/healthz` for supervisors, `/metrics` and `/top` for monitoring, over HTTP.

It asks for no password: it is for this machine, or for a trusted network.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from ipaddress import ip_address
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import gevent
import msgspec
from gevent import socket
from gevent.pywsgi import WSGIHandler, WSGIServer

from geventchat.protocol.admin import Top
from geventchat.server.slices import pause
from geventchat.server.transport import ports

_MAX_CONNECTIONS: Final = 16
"""At a time, so that they do not use up the file descriptors that storing needs."""
_SECONDS: Final = 5.0
"""Time for a request and its response."""
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""Of metrics."""
_TEXT: Final = "text/plain; charset=utf-8"
_BAD_REQUEST: Final = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

_log: Final = logging.getLogger(__name__)

Greenlet: TypeAlias = "gevent.Greenlet[..., object]"


class _Handler(WSGIHandler):
    """pywsgi's handler, which writes tracebacks to standard error for what a client did."""

    def __init__(self, sock: socket.socket, *more: Any) -> None:
        sock.settimeout(_SECONDS)
        super().__init__(sock, *more)

    def handle(self) -> None:
        """Answer the requests of a connection. Waits."""
        with suppress(OSError):  # the client is gone
            super().handle()

    def handle_one_request(self) -> Any:
        """Read a request and answer it. Waits."""
        pause()  # hundreds may have come at once
        # The timeout of the socket starts again with each byte.
        with gevent.Timeout(_SECONDS, gevent.GreenletExit):
            return super().handle_one_request()

    def read_request(self, raw_requestline: str) -> Any:
        """Read the head of a request; return whether it is one, which has no body. Waits."""
        # A body in chunks would be read to its end, 3 us each, before anybody else had a turn.
        return super().read_request(raw_requestline) and not (
            self.content_length or "Transfer-Encoding" in self.headers
        )

    def handle_error(self, kind: Any, error: Any, trace: Any) -> None:
        """Close: the client is gone, too slow, or sent a malformed body."""
        self.close_connection = True

    def _handle_client_error(self, ex: Exception) -> tuple[str, bytes]:
        return "400", _BAD_REQUEST


class Admin:
    """Answers at listening sockets. `health`: why the server is not ready; None if it is.

    `host`: the name by which they were opened.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        host: str,
        health: Callable[[], str | None],
        metrics: Callable[[], bytes],
        top: Callable[[], Top],
    ) -> None:
        self._health = health
        self._metrics = metrics
        self._top = top
        self._names = {"localhost", socket.gethostname().lower(), host.lower()}
        self.addresses = ports.addresses(listeners)
        self._connections: dict[Greenlet, None] = {}
        """Oldest first."""
        self._servers = [self._server(listener, host) for listener in listeners]
        self._never_started = self._server(("", 0), host)

    def start(self) -> None:
        """Accept connections."""
        for server in self._servers:
            server.start()

    def close(self) -> None:
        """Close the port and its connections. Waits for 0.1 s at most."""
        for server in self._servers:
            server.stop()
        connections = list(self._connections)
        gevent.killall(connections, block=False)
        gevent.joinall(connections, timeout=0.1)

    def serve(self, sock: socket.socket) -> None:
        """Answer the requests of one more connection, which came in another way. Never waits."""
        self._spawn(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        with sock:
            self._never_started.handle(sock, "")

    def _server(self, listener: socket.socket | tuple[str, int], host: str) -> WSGIServer:
        # Without the names they are looked up.
        environ = {"SERVER_NAME": host, "SERVER_PORT": "0"}
        server = WSGIServer(
            listener, self._answer, log=None, error_log=None, spawn=self._spawn,
            handler_class=_Handler, environ=environ,
        )  # fmt: skip
        server.max_accept = 1  # so that each is read before it may have to make room
        return server

    def _spawn(self, handle: Callable[..., object], /, *args: Any, **more: Any) -> Greenlet:
        """Serve a connection; at the limit, close the oldest for it."""
        if len(self._connections) == _MAX_CONNECTIONS:
            oldest = next(iter(self._connections))
            del self._connections[oldest]
            oldest.kill(block=False)
        greenlet = gevent.spawn(handle, *args, **more)
        self._connections[greenlet] = None
        greenlet.rawlink(lambda ended: self._connections.pop(ended, None))
        return greenlet

    def _answer(self, asked: dict[str, Any], begin: Callable[..., Any]) -> Iterable[bytes]:
        try:
            status, kind, body = self._page(asked)
        except Exception:
            _log.exception("admin request failed")
            status, kind, body = "500 Internal Server Error", _TEXT, b"Internal server error.\n"
        begin(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [] if asked["REQUEST_METHOD"] == "HEAD" else [body]

    def _page(self, asked: dict[str, Any]) -> tuple[str, str, bytes]:
        """Return the status, the content type and the body of the response."""
        if not self._is_own(asked.get("HTTP_HOST")):
            text = b"Host must be localhost, an IP address or the name of this machine.\n"
            return "421 Misdirected Request", _TEXT, text
        match asked["REQUEST_METHOD"], asked["PATH_INFO"]:
            case (("GET" | "HEAD"), "/healthz"):
                trouble = self._health()
                status = "503 Service Unavailable" if trouble else "200 OK"
                return status, _TEXT, f"{trouble or 'ready'}\n".encode()
            case (("GET" | "HEAD"), "/metrics"):
                return "200 OK", CONTENT_TYPE, self._metrics()
            case (("GET" | "HEAD"), "/top"):
                return "200 OK", "application/json", msgspec.json.encode(self._top())
            case _:
                return "404 Not Found", _TEXT, b"There are /healthz, /metrics and /top.\n"

    def _is_own(self, host: str | None) -> bool:
        """Return whether a Host header is a name of this machine that nobody else can claim.

        Otherwise a web page could read all of this through DNS rebinding.
        """
        if host is None:  # HTTP/1.0, which no browser speaks
            return True
        try:
            name = urlsplit(f"//{host}").hostname or ""
            return name in self._names or bool(ip_address(name))
        except ValueError:
            return False
