"""How long to wait before each attempt to be connected again."""

import random
from collections.abc import Iterator
from typing import Final

FIRST_SECONDS: Final = 0.5
MAX_SECONDS: Final = 30.0
MAX_RETRY_AFTER_MS: Final = 600_000
"""The longest a server is retry_after that says when to come back."""


def backoffs() -> Iterator[float]:
    """Yield seconds: drawn from 0 to a bound that doubles, so that many clients are never in step.

    The source of the rule, "full jitter": Brooker, Exponential Backoff And Jitter, AWS, 2015.
    """
    most = FIRST_SECONDS
    while True:
        yield random.uniform(0, most)
        most = min(2 * most, MAX_SECONDS)


def retry_after(after_ms: int) -> float:
    """Give the seconds of a server's word on when to come back, as far as it is reasonable."""
    return min(max(after_ms, 0), MAX_RETRY_AFTER_MS) / 1000
