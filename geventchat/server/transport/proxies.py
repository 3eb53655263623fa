"""Proxies: those whose PROXY header is believed, and the wait for it."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import gevent
from gevent import socket

from geventchat.protocol import frames
from geventchat.server.logs.rejections import Rejections
from geventchat.server.networks import Networks
from geventchat.server.transport.base import Client
from geventchat.server.transport.proxy_header import (
    DECIDING_BYTES,
    MOST_BYTES,
    BadHeader,
    Header,
    NoHeader,
    parse,
)

MOST_WAITING: Final = 32
"""Connections that wait for their header at a time; they need descriptors."""
_ANSWER: Final = frames.notice(
    f"{frames.WRONG_PORT}the PROXY protocol with your address, which is in a network of --proxy: "
    "its header must come first."
)
_LOOK_SECONDS: Final = 0.01
"""How often it is looked whether the first bytes are followed by more, while they may be of either
a header or a request."""
_ANSWER_SECONDS: Final = 1.0
"""How long a rejected connection has to read the answer."""


class Proxies:
    """The proxies of a door."""

    def __init__(self, rejections: Rejections, *, optional: bool) -> None:
        """`optional`: whether they may do without a header, and name clients in requests."""
        self._rejections = rejections
        self._optional = optional
        self._networks = Networks()
        self._seconds = 0.0
        self._waiting: dict[socket.socket, str] = {}
        """The connections that wait for their header, oldest first, with their addresses."""

    def renew(self, networks: Sequence[str], seconds: float) -> None:
        """Change what holds for connections from now on.

        `networks`: the addresses of proxies; `seconds`: the time in which a header must come.
        """
        self._networks, self._seconds = Networks(networks), seconds

    def close(self) -> None:
        """End the connections that wait. Never waits."""
        for sock in self._waiting:
            _end(sock)

    def find_client(self, sock: socket.socket, peer: Client) -> Client | None:
        """Return the client of a connection from `peer`; of one from a proxy, whom it names.

        Exactly the header is read. None: there is no client, and the connection is over. Waits, in
        a greenlet of the connection.
        """
        if peer.address not in self._networks:
            return peer
        self._waiting[sock] = peer.address
        if len(self._waiting) > MOST_WAITING:
            self._end_oldest()
        try:
            return self._client(sock, peer)
        except BadHeader as error:
            self._rejections.note("proxy", f"{peer.address}, {error}")
            if not self._optional:
                _answer(sock)
            return None
        finally:
            self._waiting.pop(sock, None)

    def _client(self, sock: socket.socket, peer: Client) -> Client | None:
        """Return the client of a proxy; None: there is none. Raises BadHeader."""
        try:
            header = self._read(sock)
        except NoHeader:
            if not self._optional:
                raise
            return peer._replace(anonymous=True, forwards=True)
        if header is None:
            return None
        if header.source is None:
            # Without a client it may be a health check, which leaves no trace.
            return peer._replace(anonymous=True) if self._more_comes(sock) else None
        client = Client(*header.source)
        if self._optional and client.address in self._networks:
            return client._replace(anonymous=True, forwards=True)
        return client

    def _read(self, sock: socket.socket) -> Header | None:
        """Read a header, and no more; None: nothing came. Raises BadHeader."""
        head = arrived = b""
        try:
            with gevent.Timeout(self._seconds, TimeoutError):
                while arrived := sock.recv(MOST_BYTES, socket.MSG_PEEK):
                    header = parse(head + arrived)
                    if self._optional and len(head + arrived) < DECIDING_BYTES:
                        gevent.sleep(_LOOK_SECONDS)  # it may be a request, so it is left there
                        continue
                    size = len(arrived) if header is None else header.size - len(head)
                    head += sock.recv(size)
                    if header is not None and len(head) == header.size:
                        return header
        except TimeoutError:
            if head:
                raise BadHeader("its PROXY header took too long") from None
            if arrived:
                raise NoHeader from None
        except OSError:
            pass  # it has hung up
        if head:
            raise BadHeader("its PROXY header ended early")
        return None

    def _end_oldest(self) -> None:
        sock, address = next(iter(self._waiting.items()))
        del self._waiting[sock]
        self._rejections.note("proxy", f"{address}, too many wait for their PROXY header")
        _end(sock)

    def _more_comes(self, sock: socket.socket) -> bool:
        """Wait for what follows a header; return whether anything does."""
        with suppress(OSError), gevent.Timeout(self._seconds, TimeoutError):
            return bool(sock.recv(1, socket.MSG_PEEK))
        return False


def _answer(sock: socket.socket) -> None:
    """Say what is expected; read on, so that this arrives."""
    with suppress(OSError), gevent.Timeout(_ANSWER_SECONDS, TimeoutError):
        sock.sendall(_ANSWER)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(MOST_BYTES):
            pass


def _end(sock: socket.socket) -> None:
    """Make its reader find the end of a connection."""
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
