"""The admin port: `/healthz` for whoever starts servers, `/metrics` and `/top` for who watches.

It is for the machine itself, or a network one trusts: it asks for no password.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

import gevent
import msgspec
from gevent import socket
from gevent.pool import Pool
from gevent.pywsgi import WSGIHandler, WSGIServer

from geventchat.config import BadOption
from geventchat.protocol.admin import Top
from geventchat.server.metrics import CONTENT_TYPE

_AT_A_TIME: Final = 16
_SECONDS: Final = 5.0
"""How long a request may take to come and its answer to go."""


class _Handler(WSGIHandler):
    def __init__(self, sock: socket.socket, *more: Any) -> None:
        sock.settimeout(_SECONDS)
        super().__init__(sock, *more)

    def handle_one_request(self) -> Any:
        """Read a request and answer it. Waits."""
        # The socket's own limit begins anew with each byte. Of all that can be raised here, pywsgi
        # passes over GreenletExit alone without a traceback; it closes the connection.
        with gevent.Timeout(_SECONDS, gevent.GreenletExit):
            return super().handle_one_request()


class Admin:
    """Answers at an address. `health` gives why the server is not ready, or nothing if it is.

    Raises BadOption if the address cannot be listened on.
    """

    def __init__(
        self,
        host: str,
        port: int,
        health: Callable[[], str | None],
        metrics: Callable[[], bytes],
        top: Callable[[], Top],
    ) -> None:
        self._health = health
        self._metrics = metrics
        self._top = top
        try:
            listener = _listen(host, port)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise BadOption("--admin", f"{host}:{port}", reason) from None
        self.address: tuple[str, int] = listener.getsockname()[:2]
        self._server = WSGIServer(
            listener, self._answer, log=None, error_log=None, spawn=Pool(_AT_A_TIME),
            handler_class=_Handler,
        )  # fmt: skip

    def start(self) -> None:
        """Begin to answer."""
        self._server.start()

    def close(self) -> None:
        """Answer no more."""
        self._server.stop(timeout=0.1)

    def _answer(self, asked: dict[str, Any], begin: Callable[..., Any]) -> Iterable[bytes]:
        kind, status = "text/plain; charset=utf-8", "200 OK"
        match asked["REQUEST_METHOD"], asked["PATH_INFO"]:
            case (("GET" | "HEAD"), "/healthz"):
                trouble = self._health()
                status = "503 Service Unavailable" if trouble else status
                body = f"{trouble or 'ready'}\n".encode()
            case (("GET" | "HEAD"), "/metrics"):
                kind, body = CONTENT_TYPE, self._metrics()
            case (("GET" | "HEAD"), "/top"):
                kind, body = "application/json", msgspec.json.encode(self._top())
            case _:
                status, body = "404 Not Found", b"There are /healthz, /metrics and /top.\n"
        begin(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]


def _listen(host: str, port: int) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener
