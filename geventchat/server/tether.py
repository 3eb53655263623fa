"""The tether: what a worker has of the parent that started it, and what both say over it.

It is one end of a pair of sockets. When the other end closes, the parent has ended, and the worker
ends too, however the parent ended.
"""

import os
import socket as native
from collections.abc import Callable
from typing import Final

import gevent
import msgspec
from gevent import socket
from gevent.event import Event

from geventchat.server.transport.ports import Ports

VARIABLE: Final = "GEVENTCHAT_WORKER"
"""The variable of the environment in which a worker finds what its parent passed on."""
READY: Final = b"r"
"""From a worker: it accepts clients."""
ALIVE: Final = b"a"
"""From a worker: its loop runs."""
RECYCLE: Final = b"c"
"""From a worker: an operator wants all workers replaced."""
PAGE: Final = b"p"
"""From the parent, with a socket: answer the request that comes over it, as the admin port does."""
LEAVE: Final = b"l"
"""From the parent: accept no more clients, as others do in your place."""
ALIVE_SECONDS: Final = 5.0
"""Between two signs of life."""


class Passed(msgspec.Struct, frozen=True):
    """What a parent passes on to a worker: its number, and descriptors."""

    number: int
    tether: int
    chat: list[int]
    web: list[int]

    @property
    def descriptors(self) -> list[int]:
        """All descriptors in it."""
        return [self.tether, *self.chat, *self.web]


class Tether:
    """The end of a worker."""

    def __init__(self, passed: Passed) -> None:
        """Take over the descriptors, so that programs that the worker starts do not get them."""
        for each in passed.descriptors:
            os.set_inheritable(each, False)
        self.number = passed.number
        self.ports = Ports(
            [socket.socket(fileno=each) for each in passed.chat],
            [socket.socket(fileno=each) for each in passed.web],
        )
        self.lost = Event()
        """Set when the parent has ended."""
        self._socket = socket.socket(fileno=passed.tether)
        gevent.spawn(self._live)

    def ready(self, answer: Callable[[socket.socket], None], leave: Callable[[], None]) -> None:
        """Report that the worker accepts clients.

        `answer` gets the connections of requests; `leave` makes it accept no more clients.
        """
        gevent.spawn(self._hear, answer, leave)
        self._tell(READY)

    def recycle(self) -> None:
        """Have all workers replaced. Never waits."""
        gevent.spawn(self._tell, RECYCLE)

    def _live(self) -> None:
        while not self.lost.is_set():
            self._tell(ALIVE)
            gevent.sleep(ALIVE_SECONDS)

    def _tell(self, what: bytes) -> None:
        try:
            self._socket.sendall(what)
        except OSError:
            self.lost.set()

    def _hear(self, answer: Callable[[socket.socket], None], leave: Callable[[], None]) -> None:
        try:
            while True:
                said, descriptors, _, _ = native.recv_fds(self._socket, 1, 1)
                if not said:
                    break
                if said == LEAVE:
                    leave()
                for each in descriptors:
                    os.set_inheritable(each, False)
                    answer(socket.socket(fileno=each))
        except OSError:
            pass
        self.lost.set()


def passed() -> Passed | None:
    """Return what a parent passed on; None if this process is no worker. Only the first call."""
    text = os.environ.pop(VARIABLE, None)
    return None if text is None else msgspec.json.decode(text, type=Passed)
