"""Doors: the ways in. Each listens, and hands every connection to its session as a link."""

import math
import random
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

import gevent
from gevent import socket as gevent_socket
from gevent.server import StreamServer
from gevent.ssl import SSLContext

from geventchat.server.logs.rejections import Rejections
from geventchat.server.transport.base import Client, Framings, Link, Ways
from geventchat.server.transport.connection import Connection
from geventchat.server.transport.ports import Address, addresses
from geventchat.server.transport.proxies import Proxies
from geventchat.server.transport.tcp import TcpStream
from geventchat.server.transport.tls import TlsStream

_AGAIN_SECONDS: Final = 0.5
"""How long accepting pauses when there are no descriptors."""
_TURN_SECONDS: Final = 0.0002
"""How long a process waits before it accepts what others may, times the root of its clients,"""
_LONGEST_SECONDS: Final = 0.05
"""but no longer than this."""


class _Listener(StreamServer):
    """Accepts again after the process ran out of descriptors."""

    # Fewer than there are descriptors in reserve: all of these are accepted before one is rejected.
    max_accept = 16

    def __init__(
        self, listener: gevent_socket.socket, handle: Callable[..., None], rejections: Rejections
    ) -> None:
        super().__init__(listener, handle)
        self._rejections = rejections
        self._pausing = False

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
            self._pausing = True
            gevent.spawn_later(_AGAIN_SECONDS, self._accept_again)
            return None

    def _accept_again(self) -> None:
        self._pausing = False
        if self.started:
            self.start_accepting()


class _SharedListener(_Listener):
    """Accepts from a socket from which other processes accept too, each its share.

    A connection wakes all of them, and on an idle machine the same one is always first: of 100 that
    came one by one, one of two workers got 95. So each waits before it accepts, by chance and
    longer the more clients it has. A queue that is not empty afterwards is not waited for again.
    """

    def __init__(
        self,
        listener: gevent_socket.socket,
        handle: Callable[..., None],
        rejections: Rejections,
        clients: Callable[[], int],
    ) -> None:
        super().__init__(listener, handle, rejections)
        self._clients = clients

    def do_read(self) -> Any:
        """Wait for this process's turn; None: nothing was accepted yet."""
        mean = _TURN_SECONDS * math.sqrt(self._clients() + 4)
        self.stop_accepting()
        gevent.spawn_later(min(random.expovariate(1 / mean), _LONGEST_SECONDS), self._take)
        return None

    def _take(self) -> None:
        """Accept what is there."""
        while self.started:
            for _ in range(self.max_accept):
                accepted = super().do_read()
                if accepted is None:
                    if not self._pausing:
                        self._accept_again()
                    return
                self.do_handle(*accepted)
            gevent.sleep(0)


class Door:
    """A way in: accepts connections from listening sockets, hands each as a Link to `welcome`.

    `welcome` is called in a greenlet of that connection. `renew` before `start`.
    """

    def __init__(
        self,
        listeners: Sequence[gevent_socket.socket],
        framing: Framings,
        welcome: Callable[[Link], None],
        rejections: Rejections,
        *,
        forwarding: bool = False,
        clients: Callable[[], int] | None = None,
    ) -> None:
        """`forwarding`: whether its proxies may name clients in requests instead of a header.

        `clients`: how many this process has, if others accept from the same sockets.
        """
        self.addresses: list[Address] = addresses(listeners)
        """Hosts with the port; with port 0 in the settings, the one that the system chose.

        They stay when the door is closed: a reload may come while the server shuts down.
        """
        self._framing = framing
        self._on_connect = welcome
        self._proxies = Proxies(rejections, optional=forwarding)
        self._tls: SSLContext | None = None
        self._frame_bytes = 0
        self._ways = Ways("", 0, None)
        self._servers = [
            _Listener(listener, self._handle, rejections)
            if clients is None
            else _SharedListener(listener, self._handle, rejections, clients)
            for listener in listeners
        ]

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
