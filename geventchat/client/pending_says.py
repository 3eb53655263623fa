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

from geventchat.client.socket_link import Ended, SocketLink
from geventchat.protocol import requests
from geventchat.protocol.errors import Refused
from geventchat.protocol.requests import Say

MAX_MESSAGES: Final = 10_000
"""Messages that may be without an answer, most of all while the connection is disconnected."""
MAX_BYTES: Final = 16 << 20
"""What their frames may have together, give or take one."""
SPACE_SECONDS: Final = 30
"""How long an answer may take before no more is taken."""


class TooManyPending(Exception):
    """Too many messages are without an answer already; this one was not taken."""


class PendingSays:
    """The messages of one client that are on their way. Waits only where it says so."""

    def __init__(self) -> None:
        self._pending: dict[str, tuple[Say, int]] = {}  # by key, in the order said; and its bytes
        self._bytes = 0
        self._space = Signal()
        self._connected = True
        self._held: deque[Say] | None = None
        """Those that go out before others; None: nothing is kept reconnected."""
        self._resending: gevent.Greenlet[..., None] | None = None

    def __contains__(self, key: object) -> bool:
        return key in self._pending

    @property
    def pending(self) -> list[Say]:
        """What has no answer yet, in the order said."""
        return [say for say, _ in self._pending.values()]

    @property
    def full(self) -> bool:
        """Whether no more is taken until an answer comes."""
        return len(self._pending) >= MAX_MESSAGES or self._bytes >= MAX_BYTES

    def wait_for_space(self) -> None:
        """Wait for an answer while it is full, up to 30 s and only while there is a connection."""
        end = time.monotonic() + SPACE_SECONDS
        while self.full and self._connected and (left := end - time.monotonic()) > 0:
            self._space.clear()
            self._space.wait(left)

    def say(self, say: Say, frame: bytes, link: SocketLink) -> None:
        """Send it, or keep it for the next connection. Waits until the kernel took it.

        Raises TooManyPending if the queue is full, and Refused if its key is that of another
        pending message.
        """
        assert say.key is not None
        if say.key in self._pending:
            if (same := self._pending[say.key][0]) != say:
                text = f"The key {say.key} is that of another message, which is not stored yet."
                raise Refused("key_conflict", text, room=same.room)
        else:
            if self.full:
                raise TooManyPending(
                    f"{len(self._pending):,} messages have no answer yet; wait for some."
                )
            self._pending[say.key] = say, len(frame)
            self._bytes += len(frame)
        if self._held is not None:
            self._held.append(say)
            return
        with suppress(Ended):  # it will be said again
            link.send(frame)

    def acknowledge(self, key: str) -> None:
        """Forget what has its answer."""
        if found := self._pending.pop(key, None):
            self._bytes -= found[1]
            self._space.set()

    def disconnected(self) -> None:
        """Keep what is said from now on, behind what has no answer yet."""
        self._held = deque(self.pending)
        self._connected = False
        self._space.set()

    def reconnected(self, link: SocketLink) -> None:
        """Say what was kept, in a greenlet of its own: who reads must not wait to send."""
        self._connected = True
        self._resending = gevent.spawn(self._send_held, link)

    def finish(self) -> None:
        """Wait until what was kept is said, if there is a connection."""
        if self._resending is not None:
            self._resending.join()

    def _send_held(self, link: SocketLink) -> None:
        kept = self._held
        with suppress(Ended):  # it is kept again
            while kept:
                link.send(requests.encode(kept[0]))
                kept.popleft()
            if self._held is kept:  # not another one, of a loss that came meanwhile
                self._held = None
