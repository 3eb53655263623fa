"""What SQLite costs for a message: `python -m tests.server.timeline.storing_costs`, a minute.

CPU of the process in µs, from the submissions of a turn until it is committed, without the event
loop: turns of some sizes, in one room and in many, of 2,000 clients. Their keys begin with the
time, as those of the library do, or are random altogether. Before those that are measured the file
gets as many messages. Medians of three runs, in which the cases took turns.
"""

import random
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Final

from geventchat.client.keys import new_key
from geventchat.server.timeline import Submission
from geventchat.server.timeline.sqlite.store import Store

TURNS: Final = ((9, 200), (32, 200), (100, 200), (20, 1))
"""Messages in a turn, and rooms."""
MESSAGES: Final = 30_000
RUNS: Final = 3
KEYS: Final[dict[str, Callable[[], str]]] = {
    "in the order of time": new_key,
    "random": lambda: secrets.token_urlsafe(16),
}
_CLIENTS: Final = [sha256(b"%d" % number).digest() for number in range(2_000)]


def cost(size: int, rooms: int, key: Callable[[], str]) -> float:
    """Return the CPU of a message, in µs."""
    numbers, dice = count(1), random.Random(1)
    names = [f"room-{number}" for number in range(rooms)]

    def turn() -> list[Submission]:
        """Return a turn, whose keys are as old as it is."""
        return [
            Submission(next(numbers), dice.choice(names), "somebody", "x" * 64, client, key())
            for client in dice.choices(_CLIENTS, k=size)
        ]

    used = 0.0
    with tempfile.TemporaryDirectory() as folder:
        store = Store(str(Path(folder, "costs.db")))
        for name in names:
            store.open(name)
        for measured in (False, True):
            for _ in range(MESSAGES // size):
                submitted = turn()
                before = time.process_time()
                store.store(submitted)
                used += measured * (time.process_time() - before)
        store.close()
    return used * 1e6 / (MESSAGES // size * size)


def main() -> None:
    """Print a table of Markdown."""
    print("| messages in a turn | rooms | keys | CPU µs per message |")
    print("|---|---|---|---|")
    cases = [(*turn, kind) for turn in TURNS for kind in KEYS]
    runs = [{case: cost(*case[:2], KEYS[case[2]]) for case in cases} for _ in range(RUNS)]
    for case in cases:
        size, rooms, kind = case
        median = statistics.median(run[case] for run in runs)
        print(f"| {size} | {rooms} | {kind} | {median:.1f} |", flush=True)


if __name__ == "__main__":
    main()
