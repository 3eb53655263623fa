"""The silent users: one lean process that holds sockets and discards what arrives.

    python -m loadtests.capacity.crowd HOST:PORT ROOM_SIZE [--password-file FILE] …

A line on standard input sets the number of users; once a second, and when that number is reached,
a line of JSON on standard output reports how many are connected and what went wrong.
"""

import argparse
import json
import secrets
import select
import sys
import time
from contextlib import suppress
from typing import Final

from gevent import socket
from gevent.ssl import SSLSocket, SSLWantReadError

from geventchat.client.tls import connect
from geventchat.protocol import requests
from loadtests.support import model
from loadtests.support.address import Address
from loadtests.support.login import Login, add_login
from loadtests.support.preflight import raise_descriptor_limit
from loadtests.support.websocket import shake_hands, text_frame

_AT_ONCE: Final = 20
"""Connections opened between two polls."""
_PONG: Final = requests.encode(requests.Pong())
_REMEMBERED: Final = 300
"""Last bytes received on a connection, which say why it ended."""


class Crowd:
    """Silent users in rooms of one size, filled one after the other."""

    def __init__(self, address: Address, room_size: int, login: Login) -> None:
        self._address = address
        self._login = login
        self._room_size = room_size
        self._poll = select.epoll()
        self._seats: list[socket.socket] = []
        self._by_number: dict[int, socket.socket] = {}
        self._vacant: list[int] = []
        self._wanted = 0
        self.lost = 0
        """Connections that the server refused or closed."""
        self.told = ""
        """The reason given to the last of them, since the number was set."""

    @property
    def users(self) -> int:
        """How many are connected."""
        return len(self._by_number)

    @property
    def complete(self) -> bool:
        """Whether all who are wanted have come; some may have been lost since."""
        return len(self._seats) == self._wanted and not self._vacant

    def want(self, users: int) -> None:
        """Set the wanted number; who was lost before comes again."""
        while len(self._seats) > users:
            self._leave(self._seats.pop())
        self._vacant = [at for at, sock in enumerate(self._seats) if sock.fileno() < 0]
        self._wanted = users
        self.told = ""

    def come(self) -> None:
        """Connect some, towards the wanted number."""
        for _ in range(_AT_ONCE):
            if self.complete:
                break
            self._come(self._vacant.pop() if self._vacant else len(self._seats))

    def hear(self, seconds: float) -> None:
        """Discard what arrives; wait for it up to so many seconds."""
        for number, _ in self._poll.poll(seconds, 512):
            sock = self._by_number[number]
            try:
                data = sock.recv(1 << 16)
                while isinstance(sock, SSLSocket) and sock.pending():
                    data += sock.recv(1 << 16)  # which the poll does not know of
            except (BlockingIOError, SSLWantReadError):
                continue
            except OSError as error:
                data, self.told = b"", error.strerror or str(error)
            if not data:
                self.lost += 1
                self._leave(sock)
            elif b'"type":"ping"' in data:
                with suppress(OSError):  # reading says next why it has ended
                    sock.send(self._frame(_PONG))
            elif b'"bye"' in data or data.startswith(b"* geventchat"):
                bye = data[data.rfind(b'{"type":"bye"') :] if self._login.web else data
                told = bye[: bye.rfind(b"}") + 1] if self._login.web else bye
                self.told = told[-_REMEMBERED:].decode(errors="replace").strip("\0")

    def _come(self, seat: int) -> None:
        room = model.room(0, seat, self._room_size)
        hello = requests.Hello(
            version=1,
            client=secrets.token_urlsafe(16),
            password=self._login.password,
            token=self._login.token,
            rooms={room: None},
        )
        try:
            sock = connect(*self._address, self._login.tls)
            if self._login.web:
                shake_hands(sock, self._address, tls=self._login.tls is not None)
                sock.sendall(self._frame(requests.encode(hello)))
            else:
                sock.sendall(b"\x1e" + self._frame(requests.encode(hello)))
        except OSError as error:
            self.lost += 1
            self.told = error.strerror or str(error)
            self._wanted, self._vacant = len(self._seats), []  # no more can connect
            return
        sock.setblocking(False)
        self._seats[seat : seat + 1] = [sock]
        self._by_number[sock.fileno()] = sock
        self._poll.register(sock, select.EPOLLIN)

    def _frame(self, message: bytes) -> bytes:
        return text_frame(message) if self._login.web else message + b"\0"

    def _leave(self, sock: socket.socket) -> None:
        if self._by_number.pop(sock.fileno(), None) is not None:
            self._poll.unregister(sock)
            sock.close()


def main() -> None:
    """Hold the users until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("address", type=Address.parse)
    parser.add_argument("room_size", type=int)
    add_login(parser)
    given = parser.parse_args()
    raise_descriptor_limit()
    crowd = Crowd(given.address, given.room_size, Login.of(given))
    orders = select.poll()
    orders.register(sys.stdin, select.POLLIN)
    told = 0.0
    asked, tell = 0, False
    while True:
        if orders.poll(0):
            line = sys.stdin.readline()
            if not line:
                return
            asked, tell = int(line), True
            crowd.want(asked)
        busy = not crowd.complete
        crowd.come()
        crowd.hear(0 if busy else 0.05)
        there = crowd.complete
        if (tell and there) or time.monotonic() - told >= 1:
            tell = tell and not there
            told = time.monotonic()
            state = {"users": crowd.users, "lost": crowd.lost, "told": crowd.told}
            print(json.dumps(state | {"asked": asked, "there": there}), flush=True)


if __name__ == "__main__":
    main()
