"""Messages that are not acknowledged yet, sent again on the next connection.

They are sent in order, before later ones, with their old keys, by which the server deduplicates.
"""

import time
from collections import deque
from contextlib import suppress
from typing import Final

import gevent
import msgspec
from gevent.event import Event as Signal

from geventchat.client.socket_link import Ended, SocketLink
from geventchat.protocol import requests
from geventchat.protocol.errors import Refused
from geventchat.protocol.events import Bye
from geventchat.protocol.requests import Say
from geventchat.protocol.requests.base import Token

MAX_MESSAGES: Final = 10_000
"""Pending messages at most."""
MAX_BYTES: Final = 16 << 20
"""Bytes of their frames at most, give or take one."""
SPACE_SECONDS: Final = 30
"""How long to wait for space."""


class TooManyPending(Exception):
    """Too many messages are pending; this one was not queued."""


class PendingSays:
    """The pending messages of one client. Waits only where documented."""

    def __init__(self) -> None:
        self._pending: dict[str, tuple[Say, int]] = {}  # by key, in order; with its bytes
        self._bytes = 0
        self._space = Signal()
        self.ended: Bye | None = None
        """Why there is no next connection; None: there may be one."""
        self._connected = True
        self._held: deque[Say] | None = None
        """Messages to send before others; None: send directly."""
        self._resending: gevent.Greenlet[..., None] | None = None

    def __contains__(self, key: object) -> bool:
        return key in self._pending

    @property
    def pending(self) -> list[Say]:
        """Messages that are not acknowledged yet, in order."""
        return [say for say, _ in self._pending.values()]

    @property
    def full(self) -> bool:
        """Whether no more is accepted until one is acknowledged."""
        return len(self._pending) >= MAX_MESSAGES or self._bytes >= MAX_BYTES

    def wait_acknowledged(self, most_bytes: int) -> None:
        """Wait while more than so many bytes are pending.

        Raises TimeoutError if nothing changes for 30 s, Ended.
        """
        while self._bytes > most_bytes:
            if self.ended is not None:
                raise Ended(self.ended)
            self._space.clear()
            if not self._space.wait(SPACE_SECONDS):
                raise TimeoutError(f"No message was acknowledged within {SPACE_SECONDS} s.")

    def wait_for_space(self) -> None:
        """Wait up to 30 s while the queue is full and the connection lasts."""
        end = time.monotonic() + SPACE_SECONDS
        while self.full and self._connected and (left := end - time.monotonic()) > 0:
            self._space.clear()
            self._space.wait(left)

    def say(self, say: Say, frame: bytes, link: SocketLink) -> None:
        """Send a message, or queue it for the next connection. Waits until the kernel accepts it.

        Raises TooManyPending if the queue is full, and Refused if its key is that of another
        pending message, or is none that the server could name in its answer.
        """
        try:
            key = msgspec.convert(say.key, Token)
        except msgspec.ValidationError as error:
            raise Refused("bad_field", f"key: {error}.", room=say.room) from None
        if key in self._pending:
            if (same := self._pending[key][0]) != say:
                text = f"The key {key} belongs to another pending message."
                raise Refused("key_conflict", text, room=same.room)
        else:
            if self.full:
                raise TooManyPending(
                    f"{len(self._pending):,} messages have no answer yet; wait for some."
                )
            self._pending[key] = say, len(frame)
            self._bytes += len(frame)
        if self._held is not None:
            self._held.append(say)
            return
        try:
            self._send(frame, link)
        except BaseException:  # interrupted, perhaps before its turn: nobody else would send it
            gevent.spawn(self._send, frame, link)
            raise

    def acknowledge(self, key: str) -> None:
        """Remove an acknowledged message."""
        if found := self._pending.pop(key, None):
            self._bytes -= found[1]
            self._space.set()

    def disconnected(self) -> None:
        """Queue messages from now on, behind those that are pending."""
        self._held = deque(self.pending)
        self._connected = False
        self._space.set()

    def reconnected(self, link: SocketLink) -> None:
        """Send the queue, in a greenlet of its own: the reader must not wait to send."""
        self._connected = True
        self._resending = gevent.spawn(self._send_held, link)

    def finish(self) -> None:
        """Wait until the queue is sent, if connected."""
        if self._resending is not None:
            self._resending.join()

    def _send(self, frame: bytes, link: SocketLink) -> None:
        with suppress(Ended):  # it will be sent again
            link.send(frame)

    def _send_held(self, link: SocketLink) -> None:
        kept = self._held
        with suppress(Ended):  # it is queued again
            while kept:
                link.send(requests.encode(kept[0]))
                kept.popleft()
            if self._held is kept:  # else the connection was lost again meanwhile
                self._held = None
