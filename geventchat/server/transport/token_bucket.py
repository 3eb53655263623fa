"""A token bucket: the rate limit of one client."""

from collections import Counter
from typing import Final

from geventchat.config import Limits
from geventchat.protocol.errors import FLOOD, ProtocolError

_MOST_PAUSE_SECONDS: Final = 30.0
_MOST_WAITING_BYTES: Final = 32 << 10
"""Less than what any kernel buffers for a client that sends as much as it can."""


class TokenBucket:
    """The tokens of one client, and whether it keeps exceeding them."""

    __slots__ = ("_each", "_full", "_limits", "_since", "_spare", "counts")

    def __init__(self, limits: Limits, counts: Counter[str]) -> None:
        self.counts = counts
        """The counter whose `pauses` it raises."""
        self._limits = limits
        self._each = 1 / limits.messages_per_second
        self._spare = (limits.messages_at_once - 1) * self._each
        self._full = 0.0
        """When the bucket will be full again: its whole state in one number."""
        self._since = 0.0
        """Since when too many bytes are waiting; 0: they are not."""

    def go_on(self, other: "TokenBucket") -> None:
        """Continue from another bucket of the same client."""
        self._full = max(self._full, other._full)

    def empty(self, now: float) -> bool:
        """Return whether there is no token now, by the monotonic time."""
        return self._full - now > self._spare

    def take(self, tokens: int, now: float) -> float:
        """Take tokens; return the seconds to pause first if there is none yet.

        `now` is the monotonic time. One message never delays the next by more than 30 s.
        """
        pause = max(self._full - now - self._spare, 0.0)
        debt = min(tokens * self._each, _MOST_PAUSE_SECONDS)
        self._full = max(self._full, now) + debt
        if pause:
            self.counts["pauses"] += 1
        else:
            self._since = 0.0
        return pause

    def try_take(self, tokens: int, now: float) -> float:
        """Take tokens if there is one now; return the seconds until there is, 0 if they are taken.

        `now` is the monotonic time.
        """
        pause = max(self._full - now - self._spare, 0.0)
        if not pause:
            self._full = max(self._full, now) + min(tokens * self._each, _MOST_PAUSE_SECONDS)
        return pause

    def charge(self, tokens: float, now: float) -> None:
        """Take tokens for what a message has caused; the next message waits for them."""
        debt = min(tokens * self._each, _MOST_PAUSE_SECONDS)
        self._full = min(max(self._full, now) + debt, now + self._spare + _MOST_PAUSE_SECONDS)

    def check(self, waiting: int, now: float) -> None:
        """Check how many bytes a paused client has waiting.

        Raises ProtocolError if they have been too many for too long.
        """
        if waiting < _MOST_WAITING_BYTES:
            self._since = 0.0
        elif not self._since:
            self._since = now
        elif now - self._since >= self._limits.flood_seconds:
            raise ProtocolError("slow_down", FLOOD.text, reason=FLOOD)
