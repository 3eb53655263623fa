"""What a hello costs several nodes: `python -m tests.server.timeline.redis.claims_costs`.

Wall time of one question about a client or a nick, median and 99th percentile, and its CPU in µs:
of the engine with `appendfsync always`, and of two nodes, which share one process here. Some 20
seconds.
"""

from collections.abc import Callable
from contextlib import closing
from itertools import count

import gevent

from geventchat.server.timeline.redis.engine import Engine
from tests.engines import KINDS, running
from tests.server.timeline.redis.claimers import Claimer, claimers_on
from tests.server.timeline.redis.deciding_costs import measured, timed

ASKED = 3_000

_numbers = count(1)


def new(node: Claimer) -> None:
    """Have a client enter that nobody knows."""
    node.enter(f"client-{next(_numbers)}")


def named(node: Claimer) -> None:
    """Have a client enter and take a nick."""
    number = next(_numbers)
    node.enter(f"client-{number}")
    node.nodes.claim(f"Nick{number}", f"client-{number}".encode())


def comer(*nodes: Claimer) -> Callable[[], None]:
    """Return what has one client come to some nodes in turn."""
    places = count()

    def come() -> None:
        nodes[next(places) % len(nodes)].enter("one")

    return come


def together(node: Claimer, step: Callable[[Claimer], None], greenlets: int) -> list[float]:
    """Have many clients come at once."""
    taken: list[float] = []

    def work() -> None:
        taken.extend(timed(lambda: step(node), ASKED // greenlets))

    gevent.joinall([gevent.spawn(work) for _ in range(greenlets)], raise_error=True)
    return taken


def works_of(one: Claimer, two: Claimer) -> dict[str, Callable[[], list[float]]]:
    """Return what is measured, by name."""
    return {
        "a new client": lambda: timed(lambda: new(one), ASKED),
        "a new client with a nick": lambda: timed(lambda: named(one), ASKED),
        "the same client again": lambda: timed(comer(one), ASKED),
        "a client that moves": lambda: timed(comer(one, two), ASKED),
        "500 new clients at once": lambda: together(one, new, 500),
        "500 of them with nicks": lambda: together(one, named, 500),
    }


def main() -> None:
    for kind in KINDS:
        with (
            running(kind) as engine,
            claimers_on(engine.url, 2) as nodes,
            closing(Engine(engine.where, name="costs")) as asking,
        ):
            for name, work in works_of(*nodes).items():
                print(f"{kind:8}{name:28}{measured(asking, work, ASKED)}", flush=True)


if __name__ == "__main__":
    main()
