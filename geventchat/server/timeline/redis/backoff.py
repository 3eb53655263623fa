"""When to try again to reach the engine."""

import random
from collections.abc import Iterator
from typing import Final

_FIRST: Final = 0.02
_LONGEST: Final = 1.0


def pauses() -> Iterator[float]:
    """Yield the seconds to wait before each attempt: longer each time, and spread."""
    seconds = _FIRST
    while True:
        yield seconds * random.uniform(0.5, 1)
        seconds = min(2 * seconds, _LONGEST)
