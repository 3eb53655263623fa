"""What a decision costs: `python -m tests.server.timeline.redis.deciding_costs`. Some 20 seconds.

Wall time of one decision, with one record that it writes, and its CPU in µs: of the engine with
`appendfsync always`, and of the nodes, which share one process here. What it costs all of them to
hear the record is in it.
"""

import time
from collections.abc import Callable, Iterable
from contextlib import closing
from itertools import cycle
from statistics import median, quantiles

import gevent

from geventchat.server.timeline.redis.engine import Engine
from tests.engines import KINDS, running
from tests.server.timeline.redis.costs import engine_seconds
from tests.server.timeline.redis.deciders import Node, nodes_on

DECISIONS = 600


def measured(asking: Engine, work: Callable[[], Iterable[float]], count: int) -> str:
    """Do some work; return what each of its steps takes, from the seconds that each has taken."""
    engine, node, began = engine_seconds(asking), time.process_time(), time.monotonic()
    taken = sorted(each * 1000 for each in work())
    wall = time.monotonic() - began
    node, engine = time.process_time() - node, engine_seconds(asking) - engine
    return (
        f"{median(taken):8.2f} {quantiles(taken, n=100)[98]:8.2f} ms"
        f" {engine / count * 1e6:8.0f} {node / count * 1e6:8.0f} µs {count / wall:8.0f} /s"
    )


def timed(step: Callable[[], None], count: int) -> list[float]:
    """Return the seconds that each of some steps takes."""
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        step()
        taken.append(time.perf_counter() - began)
    return taken


def write(node: Node, name: str) -> None:
    """Write a record without deciding."""
    number = node.get(name)
    number.state = (number.state or 0) + 1
    node.records.save(number)


def decide(node: Node) -> None:
    """Decide, and write nothing."""
    with node.deciding():
        pass


def together(nodes: list[Node], greenlets: int, count: int) -> list[float]:
    """Have all nodes decide at once, each in several greenlets."""
    share = count // len(nodes) // greenlets
    taken: list[float] = []

    def add(node: Node) -> None:
        taken.extend(timed(lambda: node.add("a"), share))

    working = [gevent.spawn(add, node) for node in nodes for _ in range(greenlets)]
    gevent.joinall(working, raise_error=True)
    return taken


def taking_turns(nodes: list[Node], count: int) -> list[float]:
    """Have nodes decide one after the other, so that the right is always another's."""
    order = cycle(nodes)
    return timed(lambda: next(order).add("a"), count)


def works_of(nodes: list[Node]) -> dict[str, Callable[[], list[float]]]:
    """Return what is measured with some nodes, by name."""
    first = nodes[0]
    works: dict[str, Callable[[], list[float]]] = {
        "nothing is written": lambda: timed(lambda: decide(first), DECISIONS),
        "only a record": lambda: timed(lambda: write(first, "a"), DECISIONS),
        "one greenlet": lambda: timed(lambda: first.add("a"), DECISIONS),
        "ten greenlets": lambda: together([first], 10, DECISIONS),
    }
    if len(nodes) > 1:
        works |= {
            "one after the other": lambda: taking_turns(nodes, DECISIONS),
            "all, one greenlet": lambda: together(nodes, 1, DECISIONS),
            "all, ten greenlets": lambda: together(nodes, 10, DECISIONS),
        }
    return works


def main() -> None:
    print("a decision:                           p50      p99      engine    nodes   decisions")
    for kind in KINDS:
        with running(kind) as engine, closing(Engine(engine.where, name="asking")) as asking:
            for count in 1, 3:
                with nodes_on(engine.url, count) as nodes:
                    nodes[0].add("a")
                    for what, work in works_of(nodes).items():
                        told = measured(asking, work, DECISIONS)
                        print(f"{kind:6} {count} nodes {what:20} {told}", flush=True)


if __name__ == "__main__":
    main()
