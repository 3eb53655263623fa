"""Doors: the ways in. Each listens, and hands every connection to its session as a link."""

import errno
import socket
from collections.abc import Callable
from typing import Any, Final

import gevent
from gevent import socket as gevent_socket
from gevent.server import StreamServer
from gevent.ssl import SSLContext

from geventchat.config import BadSetting
from geventchat.server.logs.rejections import Rejections
from geventchat.server.transport.base import Framing, Link
from geventchat.server.transport.connection import Connection
from geventchat.server.transport.tcp import TcpStream
from geventchat.server.transport.tls import TlsStream

BACKLOG: Final = 4096
"""Connections the kernel holds until they are accepted; 128 would drop some of a burst."""
_INHERITED: Final = {
    # A dead peer is detected after 90 s of silence, or 90 s without acknowledging what it was sent:
    # later than a stalled one is closed as slow.
    "TCP_KEEPIDLE": 60,
    "TCP_KEEPINTVL": 10,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 90_000,
    # The most unsent data that the kernel holds for a client that has stopped reading.
    "TCP_NOTSENT_LOWAT": 256 << 10,
    "TCP_NODELAY": 1,
}
"""Options that connections inherit from the listening socket, where the system has them."""
_AGAIN_SECONDS: Final = 0.5
"""How long accepting pauses when there are no descriptors."""


class _Listener(StreamServer):
    """Accepts again after the process ran out of descriptors."""

    # Fewer than there are descriptors in reserve: all of these are accepted before one is rejected.
    max_accept = 16

    def __init__(
        self, listener: gevent_socket.socket, handle: Callable[..., None], rejections: Rejections
    ) -> None:
        super().__init__(listener, handle)
        self._rejections = rejections

    def do_read(self) -> Any:
        """Accept a connection; None if there is none, or no descriptor for it."""
        try:
            return super().do_read()
        except OSError as error:
            if self.is_fatal_error(error):
                raise
            # ECONNABORTED and the like concern one connection, but a short pause does no harm.
            self._rejections.note("descriptors", error.strerror or str(error))
            self.stop_accepting()
            gevent.spawn_later(_AGAIN_SECONDS, self._accept_again)
            return None

    def _accept_again(self) -> None:
        if self.started:
            self.start_accepting()


class Door:
    """A way in: accepts connections at an address and hands each as a Link to `welcome`.

    `welcome` is called in a greenlet of that connection. `renew` before `start`. Raises BadSetting
    if the address cannot be listened on.
    """

    def __init__(
        self,
        host: str,
        port: int,
        framing: type[Framing],
        welcome: Callable[[Link], None],
        rejections: Rejections,
    ) -> None:
        self._framing = framing
        self._on_connect = welcome
        self._tls: SSLContext | None = None
        self._frame_bytes = 0
        self._how = ""
        self._server = _Listener(listen(host, port), self._handle, rejections)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port; with port 0 in the settings, the one that the system chose."""
        host, port = self._server.socket.getsockname()[:2]
        return host, port

    @property
    def name(self) -> str:
        """What metrics call it; another with TLS than without."""
        return self._framing.doors[self._tls is not None]

    def renew(self, tls: SSLContext | None, frame_bytes: int, how: str) -> None:
        """Change what holds for connections from now on.

        `tls`: what they have to speak TLS with; `frame_bytes`: the largest frame they may send;
        `how`: how to connect, as programs are told that speak something else.
        """
        self._tls, self._frame_bytes, self._how = tls, frame_bytes, how

    def start(self) -> None:
        """Begin to accept."""
        self._server.start()

    def close(self) -> None:
        """Stop accepting; existing connections stay."""
        self._server.close()

    def _handle(self, sock: gevent_socket.socket, address: tuple[Any, ...]) -> None:
        stream = TcpStream(sock) if self._tls is None else TlsStream(sock, self._tls)
        framing = self._framing(self._frame_bytes, self._how)
        self._on_connect(Connection(stream, framing, _host(address), address[1], self.name))


def _host(address: tuple[Any, ...]) -> str:
    """Return the address of a client as people write it.

    IPv4 mapped into IPv6 is IPv4. A link-local address has its scope, `fe80::1%eth0`: hosts on
    other links may have the same.
    """
    host: str = address[0]
    scope = address[3] if len(address) > 3 else 0
    if scope and "%" not in host:
        try:
            return f"{host}%{socket.if_indextoname(scope)}"
        except OSError:  # the interface is gone
            return f"{host}%{scope}"
    return host.removeprefix("::ffff:") if "." in host else host


def listen(host: str, port: int) -> gevent_socket.socket:
    """Open a listening socket, with what its connections inherit on Linux. Raises BadSetting."""
    try:
        family, _, _, _, address = gevent_socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise BadSetting("host", host, error.strerror or str(error)) from None
    listener = gevent_socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _INHERITED.items():
        if (option := getattr(socket, name, None)) is not None:
            listener.setsockopt(socket.IPPROTO_TCP, option, value)
    try:
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        reason = (error.strerror or str(error)).lower()
        if error.errno == errno.EADDRNOTAVAIL:  # no port of it could be had
            raise BadSetting("host", host, reason) from None
        raise BadSetting("port", port, reason) from None
    return listener
