"""The work that servers get, and the figures measured."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

TALKERS = 100
"""Talkers in a big room; in small rooms everyone talks."""

FULL = 0.9
"""Busy share above which the load generator may be the bottleneck."""


@dataclass(frozen=True)
class Work:
    """Rooms of members, and messages that are due at an even pace.

    Rooms and talkers take turns. Works that differ only in how long they take are the same.
    """

    members: int
    """In each room."""
    messages_per_second: int
    """In all rooms together."""
    rooms: int = 1
    body_bytes: int = 64
    warm_seconds: float = field(default=1.0, compare=False)
    seconds: float = field(default=4.0, compare=False)
    ready_seconds: float = field(default=40.0, compare=False)
    """How long the members may take to join."""

    @property
    def connections(self) -> int:
        """Members of all rooms."""
        return self.rooms * self.members

    @property
    def talkers(self) -> int:
        """How many members talk."""
        return self.connections if self.rooms > 1 else min(TALKERS, self.connections)

    def __str__(self) -> str:
        rooms = "One room" if self.rooms == 1 else f"{self.rooms:,} rooms"
        return f"{rooms} of {self.members:,}, {self.messages_per_second:,} messages a second"


@dataclass(frozen=True)
class Figures:
    """What was measured of one server at one work."""

    owed: float
    """Expected deliveries of all messages that were due."""
    heard: float
    """Deliveries that arrived."""
    deliveries_per_second: float
    cpu_us: float
    """The server's CPU time for each delivery, in microseconds."""
    p50_ms: float
    """From when a message was due until a member had it."""
    p99_ms: float
    idle_kb: float
    """What the server's memory grew by for each connection that joined, in 1,000 bytes."""
    load_busy: float
    """Share of the time in which the load generator was not idle.

    Not its CPU time: that is less on a core shared with others, though it is late all the same.
    """
    closed: float = 0
    """Connections that the server closed."""

    @property
    def arrived(self) -> float:
        """The share of the expected deliveries that arrived."""
        return self.heard / self.owed if self.owed else 0.0

    @property
    def load_saturated(self) -> bool:
        """Whether the load generator may have been the bottleneck."""
        return self.load_busy > FULL


def median(runs: Sequence[Figures]) -> Figures:
    """Return the median of each figure."""
    names = [each.name for each in fields(Figures)]
    return Figures(**{n: statistics.median(getattr(run, n) for run in runs) for n in names})
