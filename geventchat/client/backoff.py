"""How long to wait before each attempt to reconnect."""

import random
from collections.abc import Iterator
from typing import Final

FIRST_SECONDS: Final = 0.5
MAX_SECONDS: Final = 30.0
MAX_RETRY_AFTER_MS: Final = 600_000
"""The longest delay accepted from a server."""


def backoffs() -> Iterator[float]:
    """Yield seconds: drawn from 0 to a bound that doubles, so that many clients are never in step.

    The source of the rule, "full jitter": Brooker, Exponential Backoff And Jitter, AWS, 2015.
    """
    most = FIRST_SECONDS
    while True:
        yield random.uniform(0, most)
        most = min(2 * most, MAX_SECONDS)


def retry_after(after_ms: int) -> float:
    """Return the delay that a server asked for, in seconds, clamped to a sane range."""
    return min(max(after_ms, 0), MAX_RETRY_AFTER_MS) / 1000
