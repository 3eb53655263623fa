"""Doors: the ways in. Each listens, and hands every connection to its session as a link."""

import errno
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import gevent
from gevent import socket as gevent_socket
from gevent.server import StreamServer
from gevent.ssl import SSLContext

from geventchat.config import BadSetting
from geventchat.protocol.names import endpoint
from geventchat.server.logs.rejections import Rejections
from geventchat.server.transport.base import Client, Framings, Link, Ways
from geventchat.server.transport.connection import Connection
from geventchat.server.transport.proxies import Proxies
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
_TRIES: Final = 20
"""How often a port is looked for that is free at all addresses."""
_ABSENT: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_AGAIN_SECONDS: Final = 0.5
"""How long accepting pauses when there are no descriptors."""


Address: TypeAlias = tuple[str, int]


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
    """A way in: accepts connections at all addresses of a host, hands each as a Link to `welcome`.

    `welcome` is called in a greenlet of that connection. `renew` before `start`. Raises BadSetting
    if the host cannot be listened on, named by `setting` if one holds both host and port.
    """

    def __init__(
        self,
        host: str,
        port: int,
        framing: Framings,
        welcome: Callable[[Link], None],
        rejections: Rejections,
        setting: str | None = None,
        *,
        forwarding: bool = False,
    ) -> None:
        """`forwarding`: whether its proxies may name clients in requests instead of a header."""
        self._framing = framing
        self._on_connect = welcome
        self._proxies = Proxies(rejections, optional=forwarding)
        self._tls: SSLContext | None = None
        self._frame_bytes = 0
        self._ways = Ways("", 0, None)
        self._servers = [
            _Listener(listener, self._handle, rejections)
            for listener in _opened(host, port, setting)
        ]

    @property
    def addresses(self) -> list[Address]:
        """Hosts with the port; with port 0 in the settings, the one that the system chose."""
        return [server.socket.getsockname()[:2] for server in self._servers]

    @property
    def name(self) -> str:
        """What metrics call it; another with TLS than without."""
        return self._framing.doors[self._tls is not None]

    def renew(self, tls: SSLContext | None, frame_bytes: int, ways: Ways) -> None:
        """Change what holds for connections from now on.

        `tls`: what they have to speak TLS with; `frame_bytes`: the largest frame they may send.
        """
        self._tls, self._frame_bytes, self._ways = tls, frame_bytes, ways

    def believe(self, proxies: Sequence[str], seconds: float) -> None:
        """Change the networks of the proxies that name clients; a header has `seconds` to come."""
        self._proxies.renew(proxies, seconds)

    def start(self) -> None:
        """Begin to accept."""
        for server in self._servers:
            server.start()

    def close(self) -> None:
        """Stop accepting; existing connections stay."""
        for server in self._servers:
            server.close()
        self._proxies.close()

    def _handle(self, sock: gevent_socket.socket, address: tuple[Any, ...]) -> None:
        client = self._proxies.find_client(sock, Client(_host(address), address[1]))
        if client is None:
            return
        stream = TcpStream(sock) if self._tls is None else TlsStream(sock, self._tls)
        framing = self._framing(self._frame_bytes, self._ways)
        self._on_connect(Connection(stream, framing, client, self.name))


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


def check(host: str) -> None:
    """Raise BadSetting if a host cannot be listened on. Waits."""
    for listener in _opened(host, 0):
        listener.close()


def _opened(host: str, port: int, setting: str | None = None) -> list[gevent_socket.socket]:
    try:
        return listen(host, port)
    except OSError as error:
        if setting is not None:
            raise BadSetting.of(setting, endpoint(host, port), error) from None
        whole = error.errno in _ABSENT or isinstance(error, socket.gaierror)  # any port of it
        name, value = ("host", host) if whole else ("port", port)
        raise BadSetting.of(name, value, error) from None


def listen(host: str, port: int) -> list[gevent_socket.socket]:
    """Open a listening socket for each address of a host, with what its connections inherit.

    With port 0 all have the same free port. An address that this machine does not have, such as
    ::1 where IPv6 is disabled, is left out if there is another. Waits. Raises OSError.
    """
    found = gevent_socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
    for _ in range(_TRIES - 1 if port == 0 else 0):
        try:
            return _listen(addresses)
        except OSError as error:  # the free port of the first address is taken at another
            if error.errno != errno.EADDRINUSE:
                raise
    return _listen(addresses)


def _listen(addresses: Sequence[tuple[int, tuple[Any, ...]]]) -> list[gevent_socket.socket]:
    listeners: list[gevent_socket.socket] = []
    absent = None
    try:
        for family, (host, port, *scope) in addresses:
            number = port or (listeners[0].getsockname()[1] if listeners else 0)
            try:
                listeners.append(_listener(family, (host, number, *scope)))
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
                absent = error
        if absent is not None and not listeners:
            raise absent
    except OSError:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _listener(family: int, address: tuple[Any, ...]) -> gevent_socket.socket:
    listener = gevent_socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _INHERITED.items():
            if (option := getattr(socket, name, None)) is not None:
                listener.setsockopt(socket.IPPROTO_TCP, option, value)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
