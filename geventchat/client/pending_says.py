"""What was said and has no answer yet, so that it is said again on the next connection.

It goes out in the order it was said, under its old key, by which the server knows what it has; and
before anything that is said later.
"""

import time
from collections import deque
from contextlib import suppress
from typing import Final

import gevent
from gevent.event import Event as Signal

from geventchat.client.socket_link import Ended, Link
from geventchat.protocol import requests
from geventchat.protocol.errors import Refused
from geventchat.protocol.requests import Say

MOST: Final = 10_000
"""Messages that may be without an answer, most of all while the connection is away."""
MOST_BYTES: Final = 16 << 20
"""What their frames may have together, give or take one."""
SPACE_SECONDS: Final = 30
"""How long an answer may take before no more is taken."""


class Unsaid(Exception):
    """Too many messages are without an answer already; this one was not taken."""


class Says:
    """The messages of one client that are on their way. Waits only where it says so."""

    def __init__(self) -> None:
        self._unsaid: dict[str, tuple[Say, int]] = {}  # by key, in the order said; and its bytes
        self._bytes = 0
        self._space = Signal()
        self._connected = True
        self._kept: deque[Say] | None = None
        """Those that go out before others; None: nothing is kept back."""
        self._saying: gevent.Greenlet[..., None] | None = None

    def __contains__(self, key: object) -> bool:
        return key in self._unsaid

    @property
    def unsaid(self) -> list[Say]:
        """What has no answer yet, in the order said."""
        return [say for say, _ in self._unsaid.values()]

    @property
    def full(self) -> bool:
        """Whether no more is taken until an answer comes."""
        return len(self._unsaid) >= MOST or self._bytes >= MOST_BYTES

    def wait_for_space(self) -> None:
        """Wait for an answer while it is full, up to 30 s and only while there is a connection."""
        end = time.monotonic() + SPACE_SECONDS
        while self.full and self._connected and (left := end - time.monotonic()) > 0:
            self._space.clear()
            self._space.wait(left)

    def say(self, say: Say, frame: bytes, link: Link) -> None:
        """Send it, or keep it for the next connection. Waits until the kernel took it.

        Raises Unsaid if it is full, and Refused if its key is that of another that is on its way.
        """
        assert say.key is not None
        if say.key in self._unsaid:
            if (same := self._unsaid[say.key][0]) != say:
                text = f"The key {say.key} is that of another message, which is not stored yet."
                raise Refused("key_conflict", text, room=same.room)
        else:
            if self.full:
                raise Unsaid(f"{len(self._unsaid):,} messages have no answer yet; wait for some.")
            self._unsaid[say.key] = say, len(frame)
            self._bytes += len(frame)
        if self._kept is not None:
            self._kept.append(say)
            return
        with suppress(Ended):  # it will be said again
            link.send(frame)

    def answered(self, key: str) -> None:
        """Forget what has its answer."""
        if found := self._unsaid.pop(key, None):
            self._bytes -= found[1]
            self._space.set()

    def away(self) -> None:
        """Keep what is said from now on, behind what has no answer yet."""
        self._kept = deque(self.unsaid)
        self._connected = False
        self._space.set()

    def back(self, link: Link) -> None:
        """Say what was kept, in a greenlet of its own: who reads must not wait to send."""
        self._connected = True
        self._saying = gevent.spawn(self._say_kept, link)

    def finish(self) -> None:
        """Wait until what was kept is said, if there is a connection."""
        if self._saying is not None:
            self._saying.join()

    def _say_kept(self, link: Link) -> None:
        kept = self._kept
        with suppress(Ended):  # it is kept again
            while kept:
                link.send(requests.encode(kept[0]))
                kept.popleft()
            if self._kept is kept:  # not another one, of a loss that came meanwhile
                self._kept = None
