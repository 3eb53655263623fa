"""Limits by address: connections at a time, new ones a minute, new rooms a day.

Addresses are forgotten when their counts have run out. Nothing here waits.
"""

from collections import Counter
from dataclasses import replace
from typing import Final

from geventchat.config import Limits
from geventchat.protocol.errors import FULL, Reason
from geventchat.server.access.rules import network

TOO_MANY: Final = replace(FULL, text="Too many connections from your address. Close one first.")
TOO_OFTEN: Final = replace(
    FULL, text="Too many connection attempts from your address. Try again in a minute."
)
WHY: Final = {TOO_MANY: "address", TOO_OFTEN: "arrivals"}
"""The names of rejections that share a code."""
RETURNS_PER_MINUTE: Final = 600
"""Connections of one address that are not counted as new: reconnects, and health checks."""
_MINUTE: Final = 60.0
HOUR: Final = 60 * 60.0
DAY: Final = 24 * HOUR
_ORIGINS: Final = 10_000
"""Addresses remembered at most."""


def origin(address: str) -> str:
    """Return the network by which an address is counted: for IPv6 its /64."""
    return str(network(address) or address)


class ConnectionLimiter:
    """Counts the connections of each address: open ones, and new ones in the last minute."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._inside: Counter[str] = Counter()
        self._new, self._returned = Buckets(), Buckets()

    def enter(self, address: str, now: float, cost: float = 1) -> Reason | None:
        """Count an accepted connection, or return why it is rejected.

        `now` is the monotonic time; `cost`: how much of a new connection it counts. A counted
        connection has to `leave`.
        """
        network = origin(address)
        if self._inside[network] >= self.limits.connections_per_address:
            return TOO_MANY
        if not self._new.acquire(network, self.limits.arrivals_per_minute, now, cost):
            return TOO_OFTEN
        self._inside[network] += 1
        return None

    def leave(self, address: str) -> None:
        """Remove a counted connection."""
        network = origin(address)
        self._inside[network] -= 1
        if self._inside[network] <= 0:
            del self._inside[network]

    def forgive(self, address: str, now: float) -> None:
        """Take back the count of a new connection: its client has reconnected, or sent nothing.

        Up to RETURNS_PER_MINUTE, so that endless ones are counted in the end.
        """
        network = origin(address)
        if self._returned.acquire(network, RETURNS_PER_MINUTE, now):
            self._new.refund(network, self.limits.arrivals_per_minute)


class Buckets:
    """A leaky bucket for each network; it empties within a period and is then forgotten."""

    def __init__(self, period: float = _MINUTE) -> None:
        """`period`: in seconds."""
        self._period = period
        # One number each: when it will be empty. In the order of use, so the first can be forgotten
        # first.
        self._empty: dict[str, float] = {}

    def acquire(self, network: str, limit: int, now: float, cost: float = 1) -> bool:
        """Take `cost` of `limit` places, which come back over the period; False: too few are left.

        `now` is the monotonic time.
        """
        empty = max(self._empty.pop(network, now), now)
        each = cost * self._period / limit
        fits = empty + each <= now + self._period
        self._forget(now)
        self._empty[network] = empty + each if fits else empty
        return fits

    def refund(self, network: str, limit: int) -> None:
        """Give one place back."""
        if network in self._empty:
            self._empty[network] -= self._period / limit

    def _forget(self, now: float) -> None:
        while self._empty:
            oldest = next(iter(self._empty))
            if self._empty[oldest] > now and len(self._empty) < _ORIGINS:
                return
            del self._empty[oldest]
