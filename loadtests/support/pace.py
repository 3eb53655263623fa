"""When to do what is done again and again, so that a late answer delays nothing that follows."""

import time
from collections.abc import Callable, Iterator


def paced(
    every: float, seconds: float, sleep: Callable[[float], object] = time.sleep
) -> Iterator[float]:
    """Yield the moments from which to measure, in seconds of `perf_counter`; wait for each.

    There is one `every` so many seconds. If what was done at one takes longer, those behind it
    follow at once and count from when they were due, as they would for somebody who did not wait.
    """
    due = time.perf_counter()
    end = due + seconds
    while due < end:
        if (left := due - time.perf_counter()) > 0:
            sleep(left)
            yield time.perf_counter()
        else:
            yield due
        due += every
