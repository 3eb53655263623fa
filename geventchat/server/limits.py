"""How many may come from where, how quickly, and how the others hear of those who may not.

What is remembered of an address is forgotten by itself. Nothing here waits.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_network
from typing import Final

import gevent

from geventchat.config import Limits
from geventchat.protocol.errors import FLOOD, FULL, ProtocolError, Reason
from geventchat.server.moderation import network, parsed

TOO_MANY: Final = replace(
    FULL, text="Your address has as many connections as it may have. End one first."
)
TOO_OFTEN: Final = replace(
    FULL, text="Your address has connected too often. Wait a minute before you try again."
)
WHY: Final = {TOO_MANY: "address", TOO_OFTEN: "arrivals"}
"""How refusals are counted whose codes do not tell them apart."""
RETURNS_PER_MINUTE: Final = 600
"""Of those who were here before how many, from one address, are not counted as new."""
_MINUTE: Final = 60.0
DAY: Final = 24 * 60 * 60.0
_ORIGINS: Final = 10_000
"""Whose newest connections are remembered."""
_MOST_PAUSE_SECONDS: Final = 30.0
_MOST_WAITING_BYTES: Final = 32 << 10
"""Less than what a kernel holds at least of a client that sends as much as it can."""
LINE_SECONDS: Final = 1.0
"""How often a line may say that connections were refused."""

_log = logging.getLogger(__name__)


def origin(address: str) -> str:
    """Give what stands for an address where they are counted: an IPv6 address is its /64."""
    return str(network(address) or address)


class Trust:
    """Networks whose clients are not counted."""

    def __init__(self, networks: Sequence[str] = ()) -> None:
        self._networks = [ip_network(each) for each in networks]

    def __contains__(self, address: str) -> bool:
        ip = parsed(address)
        return ip is not None and any(ip in each for each in self._networks)


class Arrivals:
    """Counts the connections of each address: those it has, and the new ones of a minute."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._inside: Counter[str] = Counter()
        self._new, self._returned = Buckets(), Buckets()

    def enter(self, address: str, now: float) -> Reason | None:
        """Count a connection that was accepted, or give the reason for which it must not stay.

        `now` is the monotonic clock's. What has entered has to `leave`.
        """
        whence = origin(address)
        if self._inside[whence] >= self.limits.connections_per_address:
            return TOO_MANY
        if not self._new.pour(whence, self.limits.arrivals_per_minute, now):
            return TOO_OFTEN
        self._inside[whence] += 1
        return None

    def leave(self, address: str) -> None:
        """A connection that had entered is gone."""
        whence = origin(address)
        self._inside[whence] -= 1
        if self._inside[whence] <= 0:
            del self._inside[whence]

    def forgive(self, address: str, now: float) -> None:
        """Do not count a connection as a new one: its client was here before.

        Unless that is how it tries to wear the server out.
        """
        whence = origin(address)
        if self._returned.pour(whence, RETURNS_PER_MINUTE, now):
            self._new.take_back(whence, self.limits.arrivals_per_minute)


class Buckets:
    """A leaky bucket for each origin, which holds what comes in a period; forgotten when empty."""

    def __init__(self, period: float = _MINUTE) -> None:
        """`period`: in seconds."""
        self._period = period
        # One number each: when it will be empty. Whoever came last is last, so those that are
        # forgotten are in front.
        self._empty: dict[str, float] = {}

    def pour(self, whence: str, limit: int, now: float) -> bool:
        """Pour one in, of so many that leak out in a period; False: the bucket is full."""
        empty = max(self._empty.pop(whence, now), now)
        each = self._period / limit
        fits = empty + each <= now + self._period
        self._forget(now)
        self._empty[whence] = empty + each if fits else empty
        return fits

    def take_back(self, whence: str, limit: int) -> None:
        """Take out one that was poured in."""
        if whence in self._empty:
            self._empty[whence] -= self._period / limit

    def _forget(self, now: float) -> None:
        while self._empty:
            oldest = next(iter(self._empty))
            if self._empty[oldest] > now and len(self._empty) < _ORIGINS:
                return
            del self._empty[oldest]


class Pace:
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

    def go_on(self, other: "Pace") -> None:
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


class Refusals:
    """Counts those who were turned away, and logs that, at most one line a second."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        """Connections by why they were refused, since the start."""
        self._untold: Counter[str] = Counter()
        self._last = ""
        self._second: gevent.Greenlet[[], None] | None = None

    def note(self, why: str, last: str) -> None:
        """Count one that was refused, from an address; what is not told now is a second later."""
        self.counts[why] += 1
        self._untold[why] += 1
        self._last = last
        if self._second is None:
            self._tell()

    def close(self) -> None:
        """Tell what is left, and then no more."""
        if self._second is not None:
            self._second.kill(block=False)
        if self._untold:
            self._log()

    def _tell(self) -> None:
        self._second = None
        if self._untold:
            self._second = gevent.spawn_later(LINE_SECONDS, self._tell)
            self._log()

    def _log(self) -> None:
        number, untold = self._untold.total(), dict(self._untold)
        self._untold.clear()
        reasons = ", ".join(f"{each}={count:,}" for each, count in untold.items())
        many = "a connection" if number == 1 else f"{number:,} connections"
        details = {"event": "rejected", "reasons": untold, "last": self._last}
        text = "rejected %s (%s, last from %s)"
        _log.warning(text, many, reasons, self._last, extra={"details": details})
