"""A token bucket: how quickly one client may speak."""

from collections import Counter
from typing import Final

from geventchat.config import Limits
from geventchat.protocol.errors import FLOOD, ProtocolError

_MOST_PAUSE_SECONDS: Final = 30.0
_MOST_WAITING_BYTES: Final = 32 << 10
"""Less than what a kernel holds at least of a client that sends as much as it can."""


class TokenBucket:
    """How quickly one client may speak: a bucket of tokens, and whether it keeps overflowing."""

    __slots__ = ("_each", "_full", "_limits", "_since", "_spare", "counts")

    def __init__(self, limits: Limits, counts: Counter[str]) -> None:
        self.counts = counts
        """Where pauses are counted, under `pauses`."""
        self._limits = limits
        self._each = 1 / limits.messages_per_second
        self._spare = (limits.messages_at_once - 1) * self._each
        self._full = 0.0
        """When all tokens will be there again: the whole bucket in one number."""
        self._since = 0.0
        """Since when too much is waiting; 0: it is not."""

    def go_on(self, other: "TokenBucket") -> None:
        """Go on where another bucket of the same client left off."""
        self._full = max(self._full, other._full)

    def take(self, tokens: int, now: float) -> float:
        """Take so many tokens, and give the seconds to pause first, for there is not one yet.

        `now` is the monotonic clock's. One message never makes the next wait longer than 30 s.
        """
        pause = max(self._full - now - self._spare, 0.0)
        debt = min(tokens * self._each, _MOST_PAUSE_SECONDS)
        self._full = max(self._full, now) + debt
        if pause:
            self.counts["pauses"] += 1
        else:
            self._since = 0.0
        return pause

    def charge(self, tokens: float, now: float) -> None:
        """Take tokens for what a message has caused; the next one waits for them."""
        debt = min(tokens * self._each, _MOST_PAUSE_SECONDS)
        self._full = min(max(self._full, now) + debt, now + self._spare + _MOST_PAUSE_SECONDS)

    def check(self, waiting: int, now: float) -> None:
        """Note how many bytes are waiting for a client that is paused.

        Raises ProtocolError when they were too many for too long.
        """
        if waiting < _MOST_WAITING_BYTES:
            self._since = 0.0
        elif not self._since:
            self._since = now
        elif now - self._since >= self._limits.flood_seconds:
            raise ProtocolError("slow_down", FLOOD.text, reason=FLOOD)
