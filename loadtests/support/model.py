"""The chat that is simulated: rooms, texts, and how often users talk.

* Rooms of 20 (`--room-size`), filled one after the other, and a large one, the lobby: all who use
  the original protocol are in it, and 5 % of the others (`--lobby`).
* Of 100 users 49 ever talk; what they wait before they do is drawn from an exponential
  distribution with a mean of 20 s (`--talk-seconds`), so that arrivals are a Poisson process and
  never in step. At any moment most people are silent.
* A message has some 35 characters; one in a hundred has over 350 (log-normal, at most 4,000).
* One message in 16, drawn by its sender, is a probe: it tells when it was said, and all who hear
  it time it. Whoever hears the others only counts them. Where little is said more of it are probes,
  up to two a second in each process, so that every few seconds have a figure.
"""

import heapq
import math
import random
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

MEDIAN_CHARACTERS: Final = 35
MOST_CHARACTERS: Final = 4_000
PROBE_EVERY: Final = 16
PROBE_SECONDS: Final = 0.5
PROBE_MARK: Final = "\x03"
"""Starts a probe: easy to find in a chunk of many messages, and nobody types it."""

_WORDS: Final = (
    "so the build is green again and nobody knows why but we will take it for now who is up for "
    "lunch at noon I can look at it later today thanks that was quick see you there "
)


def _clock_name() -> str:
    """Identify the clock of this machine since boot: times of others cannot be compared."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return f"{zlib.crc32(boot.read_bytes()) if boot.exists() else random.getrandbits(32):x}"


_CLOCK: Final = _clock_name()


class Probes:
    """Which texts are probes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = -math.inf

    def due(self) -> bool:
        """Whether the next text is one: one in 16, and after half a second without one."""
        now = self._clock()
        if random.randrange(PROBE_EVERY) and now - self._last < PROBE_SECONDS:
            return False
        self._last = now
        return True


_probes: Final = Probes()


def text() -> str:
    """Return a text, now and then as a probe."""
    return probe(words()) if _probes.due() else words()


def words() -> str:
    """Return a text that is not a probe."""
    characters = int(random.lognormvariate(0, 1) * MEDIAN_CHARACTERS)
    characters = min(max(characters, 1), MOST_CHARACTERS)
    return (_WORDS * (characters // len(_WORDS) + 1))[:characters]


def probe(said: str) -> str:
    """Return a text that carries the time of sending."""
    return f"{PROBE_MARK}{_CLOCK}:{time.monotonic_ns():x}|{said}"


def seconds_since(said: str) -> float | None:
    """Return the age of a probe in seconds; None for other texts and other machines."""
    clock, _, rest = said[1:].partition(":")
    if not said.startswith(PROBE_MARK) or clock != _CLOCK:
        return None
    try:
        return (time.monotonic_ns() - int(rest.partition("|")[0], 16)) / 1e9
    except ValueError:  # somebody else's text
        return None


class Seats:
    """Allocates the lowest free number to a user, so that rooms fill one after the other."""

    def __init__(self) -> None:
        self._free: list[int] = []
        self._next = 0

    def take(self) -> int:
        """Return a free number."""
        if self._free:
            return heapq.heappop(self._free)
        self._next += 1
        return self._next - 1

    def give(self, seat: int) -> None:
        """Release a number."""
        heapq.heappush(self._free, seat)

    @property
    def taken(self) -> int:
        """How many are taken."""
        return self._next - len(self._free)


seats: Final = Seats()
"""Seats of this process. Processes share the lobby; each has its own small rooms."""


def room(process: int, seat: int, size: int) -> str:
    """Return the name of the small room of a seat."""
    return f"room-{process}-{seat // size}"
