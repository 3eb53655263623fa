"""How long to wait before each attempt to be connected again."""

import random
from collections.abc import Iterator
from typing import Final

FIRST_SECONDS: Final = 0.5
MOST_SECONDS: Final = 30.0


def backoffs() -> Iterator[float]:
    """Yield seconds: drawn from 0 to a bound that doubles, so that many clients are never in step.

    The source of the rule, "full jitter": Brooker, Exponential Backoff And Jitter, AWS, 2015.
    """
    most = FIRST_SECONDS
    while True:
        yield random.uniform(0, most)
        most = min(2 * most, MOST_SECONDS)
