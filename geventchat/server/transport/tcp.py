"""The stream of a TCP socket as it is."""

import fcntl
import socket
import termios
from array import array
from collections.abc import Callable
from typing import Any, Final

import gevent
from gevent import monkey
from gevent import socket as gevent_socket

from geventchat.server.slices import WRITERS

READ_BYTES: Final = 64 << 10
_READABLE: Final = 1
_WRITABLE: Final = 2

# gevent's sockets carry two watchers and try before they wait; a link knows better when to do
# either, so it uses the plain one: 2 KB and one system call a message less.
_Socket: type[socket.socket] = monkey.get_original("socket", "socket")


class TcpStream:
    """A TCP socket, which it takes over. See `Stream`."""

    __slots__ = "_sock", "readable"
    ended = False

    def __init__(self, sock: gevent_socket.socket) -> None:
        self._sock = _Socket(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self._sock.setblocking(False)
        self.readable: Any = gevent.get_hub().loop.io(self._sock.fileno(), _READABLE)

    def open(self, misplaced: Callable[[bytes], bytes]) -> None:
        """Do nothing: TCP has shaken hands already."""

    def recv(self) -> bytes:
        return self._sock.recv(READ_BYTES)

    @property
    def offer(self) -> Callable[[bytes | memoryview], int]:
        return self._sock.send

    def try_send(self, data: bytes | memoryview) -> int:
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0

    def send(self, data: bytes | memoryview, seconds: float) -> None:
        hub, writable = gevent.get_hub(), self._writable()
        rest = memoryview(data)
        try:
            while rest := rest[self.try_send(rest) :]:
                with gevent.Timeout(seconds, TimeoutError):
                    hub.wait(writable)
                WRITERS.wait()
        finally:
            writable.close()

    def unread(self) -> int:
        count = array("i", [0])
        fcntl.ioctl(self._sock, termios.FIONREAD, count)
        return count[0]

    def close(self, seconds: float) -> None:
        # Closing with input unread makes the kernel send a reset, which can overtake what was said.
        try:
            self._sock.shutdown(socket.SHUT_WR)
            with gevent.Timeout(seconds, TimeoutError):
                self._discard()
        except OSError:
            pass  # it is gone already, or still there after `seconds`
        finally:
            self.readable.close()
            self._sock.close()

    def _writable(self) -> Any:
        return gevent.get_hub().loop.io(self._sock.fileno(), _WRITABLE)

    def _discard(self) -> None:
        """Read to the end and drop it."""
        hub = gevent.get_hub()
        while True:
            hub.wait(self.readable)
            try:
                if not self._sock.recv(READ_BYTES):
                    return
            except BlockingIOError:
                continue  # woken for nothing
