"""How many may come from where, how quickly, and how the others hear of those who may not.

What is remembered of an address is forgotten by itself. Nothing here waits.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_network
from typing import Final

from geventchat.config import Limits
from geventchat.protocol.errors import FULL, Reason
from geventchat.server.access.rules import network, parsed

TOO_MANY: Final = replace(
    FULL, text="Your address has as many connections as it may have. End one first."
)
TOO_OFTEN: Final = replace(
    FULL, text="Your address has connected too often. Wait a minute before you try again."
)
WHY: Final = {TOO_MANY: "address", TOO_OFTEN: "arrivals"}
"""How rejections are counted whose codes do not tell them apart."""
RETURNS_PER_MINUTE: Final = 600
"""Of those who were here before how many, from one address, are not counted as new."""
_MINUTE: Final = 60.0
DAY: Final = 24 * 60 * 60.0
_ORIGINS: Final = 10_000
"""Whose newest connections are remembered."""


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


class ConnectionLimiter:
    """Counts the connections of each address: those it has, and the new ones of a minute."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._inside: Counter[str] = Counter()
        self._new, self._returned = Buckets(), Buckets()

    def enter(self, address: str, now: float) -> Reason | None:
        """Count a connection that was accepted, or give the reason for which it must not stay.

        `now` is the monotonic clock's. What has entered has to `leave`.
        """
        network = origin(address)
        if self._inside[network] >= self.limits.connections_per_address:
            return TOO_MANY
        if not self._new.acquire(network, self.limits.arrivals_per_minute, now):
            return TOO_OFTEN
        self._inside[network] += 1
        return None

    def leave(self, address: str) -> None:
        """A connection that had entered is gone."""
        network = origin(address)
        self._inside[network] -= 1
        if self._inside[network] <= 0:
            del self._inside[network]

    def forgive(self, address: str, now: float) -> None:
        """Do not count a connection as a new one: its client was here before.

        Unless that is how it tries to wear the server out.
        """
        network = origin(address)
        if self._returned.acquire(network, RETURNS_PER_MINUTE, now):
            self._new.refund(network, self.limits.arrivals_per_minute)


class Buckets:
    """A leaky bucket for each origin, which holds what comes in a period; forgotten when empty."""

    def __init__(self, period: float = _MINUTE) -> None:
        """`period`: in seconds."""
        self._period = period
        # One number each: when it will be empty. Whoever came last is last, so those that are
        # forgotten are in front.
        self._empty: dict[str, float] = {}

    def acquire(self, network: str, limit: int, now: float) -> bool:
        """Pour one in, of so many that leak out in a period; False: the bucket is full."""
        empty = max(self._empty.pop(network, now), now)
        each = self._period / limit
        fits = empty + each <= now + self._period
        self._forget(now)
        self._empty[network] = empty + each if fits else empty
        return fits

    def refund(self, network: str, limit: int) -> None:
        """Take out one that was poured in."""
        if network in self._empty:
            self._empty[network] -= self._period / limit

    def _forget(self, now: float) -> None:
        while self._empty:
            oldest = next(iter(self._empty))
            if self._empty[oldest] > now and len(self._empty) < _ORIGINS:
                return
            del self._empty[oldest]
