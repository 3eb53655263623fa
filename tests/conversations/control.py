"""Two clients that talk while others misbehave, and must not notice it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, Final, Self

import gevent
from gevent import socket
from gevent.ssl import SSLContext

from tests.conversations.nodes import NODES
from tests.conversations.peers import SECONDS, Bystanders, Rich
from tests.cores import Cores

MOST_SECONDS: Final = 0.25 if NODES == 1 else 2.0
"""Maximum time to the acknowledgement of a message, whatever other clients do.

Time that other programs took from this process does not count. With several nodes the engine has to
run as well.
"""
_PAUSE_SECONDS: Final = 0.002
_rooms: Final = count(1)


class Control:
    """Two clients in a room of their own: one posts without a pause, the other receives.

    They talk for the whole block: before, during and after the disturbance.
    """

    def __init__(self, address: tuple[str, int], **hello: Any) -> None:
        self._room = f"control{next(_rooms)}"
        self._speaker, self._hearer = (Rich(address, rooms=[self._room], **hello) for _ in range(2))
        # Without it a second small request waits for the kernel to acknowledge the first: 40 ms.
        self._speaker.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.seconds: list[float] = []
        """Times to the acknowledgement of each message, including delays before sending it.

        Time that other programs took from this process is left out.
        """
        self._over = False
        self._talk: gevent.Greenlet[[], None] | None = None

    def __enter__(self) -> Self:
        self._say()
        self._talk = gevent.spawn(self._post)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._over = True
            assert self._talk is not None
            with gevent.Timeout(SECONDS):
                self._talk.get()
            if kind is None:
                self.check()
        finally:
            self._speaker.socket.close()
            self._hearer.socket.close()

    def check(self) -> None:
        """Check that all messages were acknowledged in time, and received once and in order."""
        self._say()
        heard = self._hearer.posts(len(self.seconds), self._room)
        said = [(number, str(number)) for number in range(1, len(self.seconds) + 1)]
        assert [(post["position"], post["text"]) for post in heard] == said
        assert max(self.seconds) < MOST_SECONDS

    def _post(self) -> None:
        while not self._over:
            self._say(_PAUSE_SECONDS)

    def _say(self, pause: float = 0) -> None:
        key = str(len(self.seconds) + 1)
        due, before = time.monotonic() + pause, Cores.now()
        gevent.sleep(pause)
        self._speaker.say(self._room, key, key=key)
        (post,) = self._speaker.posts(1)
        lost = Cores.now().lost_since(before)
        self.seconds.append(time.monotonic() - due - lost)
        assert (post["key"], post["position"]) == (key, int(key))


@contextmanager
def beside(address: tuple[str, int], *, tls: SSLContext | None = None) -> Iterator[Bystanders]:
    """Return bystanders in the lobby, while two control clients talk."""
    with Control(address, tls=tls), Bystanders(address, tls=tls) as bystanders:
        yield bystanders
