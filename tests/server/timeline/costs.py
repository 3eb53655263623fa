"""What storing a message costs the server: `python -m tests.server.timeline.costs`, half a minute.

CPU of the process in µs, its native threads included, from `append` until the batch is delivered,
for batches of some sizes: the least of five runs, in which the timelines took turns. What stores on
an engine also hears its posts from there; the CPU of the engine is another process's.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Final

from gevent.event import Event

from geventchat.server.timeline import Batch, Submission
from tests.engines import running
from tests.server.record import Open, in_file, in_memory, on_engine

SIZES: Final = {1: 300, 10: 100, 100: 20, 500: 8}
"""Batches of each size."""
RUNS: Final = 5
_number = count(1)


def submissions(size: int) -> list[Submission]:
    """Return what rich clients send."""
    numbers = [next(_number) for _ in range(size)]
    return [
        Submission(each, "lobby", "somebody", "x" * 64, b"c" * 32, f"key-{each}")
        for each in numbers
    ]


@contextmanager
def timelines() -> Iterator[dict[str, Open]]:
    with tempfile.TemporaryDirectory() as folder, running("redis") as redis:
        yield {
            "memory": in_memory(),
            "SQLite": in_file(Path(folder, "costs.db")),
            "Redis": on_engine(redis.url),
        }


def cost(opened: Open, size: int) -> float:
    """Return the CPU of a message, in µs."""
    delivered = Event()
    left = 0

    def deliver(batch: Batch) -> None:
        nonlocal left
        left -= len(batch.entries)
        if left == 0:
            delivered.set()

    timeline = opened(deliver)
    timeline.start()
    timeline.open("lobby")
    batches = [submissions(size) for _ in range(SIZES[size])]
    began = time.process_time()
    for batch in batches:
        left = size
        delivered.clear()
        for each in batch:
            timeline.append(each)
        assert delivered.wait(30)
    used = time.process_time() - began
    timeline.close(10)
    return used / size / len(batches) * 1e6


def main() -> None:
    """Print a row of Markdown for each size of batch."""
    print("| messages in a batch | memory | SQLite | Redis |\n|---|---|---|---|")
    with timelines() as every:
        for size in SIZES:
            runs = [[cost(opened, size) for opened in every.values()] for _ in range(RUNS)]
            least = (min(each) for each in zip(*runs, strict=True))
            print(f"| {size} |", " | ".join(f"{each:.1f}" for each in least), "|", flush=True)


if __name__ == "__main__":
    main()
