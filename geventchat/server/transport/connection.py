"""The link of a TCP socket: null-terminated frames, read by who waits for them."""

import fcntl
import socket
import termios
import time
from array import array
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import gevent
from gevent import monkey
from gevent import socket as gevent_socket
from gevent.event import Event

from geventchat.protocol import frames
from geventchat.protocol.errors import HTTP, ProtocolError
from geventchat.server.limits import Pace

READ_BYTES: Final = 64 << 10
READABLE: Final = 1
WRITABLE: Final = 2
_TOKEN_BYTES: Final = 4 << 10
_LOOK_SECONDS: Final = 1.0
"""How often it is looked at what a client that is paused has sent meanwhile."""

FIRST_BYTES: Final = 16


def http_answer(command: bytes) -> bytes:
    """Give what a client of HTTP is told: with which command one comes in."""
    page = b"This port speaks geventchat, not HTTP. Come in with: %s\n" % command
    return (
        b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(page), page)
    )


ANSWERS: Final[dict[frames.Stranger, bytes]] = {
    "http": http_answer(b"geventchat connect"),
    # RFC 8446, 6: an alert record; fatal, unexpected_message.
    "tls": b"\x15\x03\x01\x00\x02\x02\x0a",
    # RFC 4253, 4.2: a server may send lines before its version; a client shows or drops them.
    "ssh": b"This port speaks geventchat, not SSH.\r\n",
}
"""What a client of another protocol is told, in its own language. There is no web address yet."""

# gevent's sockets carry two watchers and try before they wait; a link knows better when to do
# either, so it uses the plain one: 2 KB and one system call a message less.
_Socket: type[socket.socket] = monkey.get_original("socket", "socket")


class TcpLink:
    """A session's way to one TCP socket, which it takes over. See `Link`."""

    __slots__ = (
        "_draining", "_ended", "_limit", "_paused", "_readable", "_sock",
        "begun", "heard", "listening", "pace", "peer",
    )  # fmt: skip
    door = "tcp"
    answers = ANSWERS
    """What it tells a client of another protocol."""

    def __init__(self, sock: gevent_socket.socket, peer: str, frame_bytes: int) -> None:
        self._sock = _Socket(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self._sock.setblocking(False)
        self._readable: Any = None
        self._draining = False
        self._ended = False
        """Whether the client has said that it sends no more, which its socket need not show."""
        self._limit = frame_bytes
        self.peer = peer
        self.heard = time.monotonic()
        self.begun = 0.0
        self.listening = False
        self.pace: Pace | None = None
        self._paused: Event | None = None

    def open(self, seconds: float) -> None:
        """There is nothing to do for that."""

    def frames(self) -> Iterator[bytes]:
        decoder = frames.Decoder(self._limit)
        hub = gevent.get_hub()
        readable = self._readable = hub.loop.io(self._sock.fileno(), READABLE)
        head: bytearray | None = bytearray()
        while True:
            if self._draining:
                gevent.sleep(1e-9)  # the session does so between frames; null bytes make none
            elif not self._ended:
                self.listening = True
                hub.wait(readable)
                self.listening = False
            try:
                data = self._receive()
            except BlockingIOError:
                if self._draining:
                    return
                continue
            except OSError:  # reset, or timed out
                return
            if not data:
                return
            self.heard = time.monotonic()
            if head is not None:
                head = self._look(head, data)
            if self.pace is None:
                yield from decoder.feed(data)
            else:
                yield from self._paced(self.pace, decoder.feed(data), data)
                if self._draining and self._paused is not None:
                    return  # it sends more quickly than is waited for
            if not data[-1]:
                self.begun = 0.0
            elif not self.begun or b"\0" in data:
                self.begun = time.monotonic()  # not `heard`: the session had its own time

    def drain(self) -> None:
        self._draining = True
        if self._paused is not None:
            self._paused.set()
        gevent.get_hub().loop.run_callback(self._look_once_more)

    def try_send(self, data: bytes | memoryview) -> int:
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0

    def send(self, data: bytes | memoryview, seconds: float) -> None:
        hub = gevent.get_hub()
        writable = hub.loop.io(self._sock.fileno(), WRITABLE)
        rest = memoryview(data)
        try:
            while rest := rest[self.try_send(rest) :]:
                with gevent.Timeout(seconds, TimeoutError):
                    hub.wait(writable)
        finally:
            writable.close()

    def close(self, seconds: float) -> None:
        # Closing with input unread makes the kernel send a reset, which can overtake what was said.
        try:
            self._sock.shutdown(socket.SHUT_WR)
            with gevent.Timeout(seconds, TimeoutError):
                self._discard()
        except OSError:
            pass  # it is gone already
        finally:
            if self._readable is not None:
                self._readable.close()
            self._sock.close()

    def _receive(self) -> bytes:
        """Give what has come, nothing at its end. Raises BlockingIOError if that is not known."""
        return self._sock.recv(READ_BYTES)

    def _look_once_more(self) -> None:
        # As if something had come. Not `feed`: what a watcher fed by a greenlet sets off waits
        # until something else happens.
        readable = self._readable
        if readable is not None and readable.active:
            readable.callback(*readable.args)

    def _paced(self, pace: Pace, given: Iterator[bytes], data: bytes) -> Iterator[bytes]:
        """Give the frames that these bytes complete, each when its client may say it."""
        empty, left = data.count(b"\0"), len(data)
        for frame in given:
            empty -= 1
            left -= len(frame) + 1
            self._pause(pace, 1 + len(frame) // _TOKEN_BYTES, left)
            yield frame
        if empty:
            self._pause(pace, empty, 0)

    def _pause(self, pace: Pace, tokens: int, left: int) -> None:
        """Wait until there is a token, and while what was read so far has `left` bytes more.

        The client is not `listening` to then, so no clock of the hub's runs for it.
        """
        now = time.monotonic()
        end = now + pace.take(tokens, now)
        if end == now:
            self._paused = None
            return
        self._paused = self._paused or Event()
        while now < end and not self._draining:
            pace.check(max(left, 0) + self._unread(), now)
            self._paused.wait(min(end - now, _LOOK_SECONDS))
            now = time.monotonic()

    def _unread(self) -> int:
        """Give how many bytes the kernel holds that were not read."""
        count = array("i", [0])
        fcntl.ioctl(self._sock, termios.FIONREAD, count)
        return count[0]

    def _discard(self) -> None:
        hub = gevent.get_hub()
        if self._readable is None:
            self._readable = hub.loop.io(self._sock.fileno(), READABLE)
        while True:
            hub.wait(self._readable)
            if not self._sock.recv(READ_BYTES):
                return

    def _look(self, head: bytearray, data: bytes) -> bytearray | None:
        """Turn away what is no chat client; give what to look at again with more, or None.

        The first bytes or the first line tell, so a trickle is not looked at again for each piece.
        """
        head += data
        told = len(head) <= FIRST_BYTES or b"\n" in data
        stranger = frames.stranger(bytes(head)) if told or len(head) == len(data) else None
        if stranger is not None:
            with suppress(OSError):  # it may not have waited for that
                self.try_send(self.answers[stranger])
            raise ProtocolError("http", HTTP.text, reason=HTTP)
        return None if b"\n" in data or b"\0" in data else head
