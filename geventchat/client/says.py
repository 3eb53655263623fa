"""What was said and has no answer yet, so that it is said again on the next connection.

It goes out in the order it was said, under its old key, by which the server knows what it has; and
before anything that is said later.
"""

from collections import deque
from contextlib import suppress
from typing import Final

import gevent

from geventchat.client.link import Ended, Link
from geventchat.protocol import requests
from geventchat.protocol.requests import Say

MOST: Final = 10_000
"""Messages that may be without an answer, most of all while the connection is away."""


class Unsaid(Exception):
    """Too many messages are without an answer already; this one was not taken."""


class Says:
    """The messages of one client that are on their way. Nothing here waits but `say`."""

    def __init__(self) -> None:
        self.unsaid: dict[str, Say] = {}
        """By key, in the order said."""
        self._kept: deque[Say] | None = None
        """Those that go out before others; None: nothing is kept back."""

    def say(self, say: Say, frame: bytes, link: Link) -> None:
        """Send it, or keep it for the next connection. Waits until the kernel took it.

        Raises Unsaid.
        """
        assert say.key is not None
        if len(self.unsaid) >= MOST and say.key not in self.unsaid:
            raise Unsaid(f"{MOST:,} messages have no answer yet; wait for some.")
        self.unsaid[say.key] = say
        if self._kept is not None:
            self._kept.append(say)
            return
        with suppress(Ended):  # it will be said again
            link.send(frame)

    def answered(self, key: str) -> None:
        """Forget what has its answer."""
        self.unsaid.pop(key, None)

    def away(self) -> None:
        """Keep what is said from now on, behind what has no answer yet."""
        self._kept = deque(self.unsaid.values())

    def back(self, link: Link) -> None:
        """Say what was kept, in a greenlet of its own: who reads must not wait to send."""
        gevent.spawn(self._say_kept, link)

    def _say_kept(self, link: Link) -> None:
        kept = self._kept
        with suppress(Ended):  # it is kept again
            while kept:
                link.send(requests.encode(kept[0]))
                kept.popleft()
            if self._kept is kept:  # not another one, of a loss that came meanwhile
                self._kept = None
