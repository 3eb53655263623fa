"""The numbers of guests: none is used twice, whichever nodes ask and whatever an engine loses."""

from signal import SIGCONT, SIGSTOP

import gevent
import pytest

from tests.engines import RunningEngine
from tests.server.timeline.redis.claimers import Claimers
from tests.server.timeline.redis.gated import GatedNodes, emptied


def test_the_numbers_of_guests_are_never_used_twice(
    engine: RunningEngine, claimers: Claimers
) -> None:
    nodes = claimers(engine.url, 2)
    numbers = []
    for _ in range(30):
        numbers += [node.nodes.next_guest() for node in nodes for _ in range(90)]
        gevent.sleep(0.01)
    (later,) = claimers(engine.url, 1)
    numbers.append(later.nodes.next_guest())
    assert len({*numbers}) == len(numbers)


def test_the_first_guest_of_a_store_has_number_1(engine: RunningEngine, claimers: Claimers) -> None:
    (one,) = claimers(engine.url, 1)
    assert [one.nodes.next_guest() for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize("lost", ["all", "some"])
def test_the_numbers_of_guests_are_not_used_again_in_a_new_life(
    engine: RunningEngine, lost: str
) -> None:
    emptied(engine)
    one, other = GatedNodes(engine), GatedNodes(engine)
    numbers = {node.next_guest() for node in (one, other) for _ in range(400)}
    if lost == "all":
        engine.call("FLUSHALL")
    else:
        engine.call("HSET", "{gc}:life", "guests", 1000)
    for node in (one, other):
        node.begin_life(2)
    for node in (one, other):
        for _ in range(1200):
            number = node.next_guest()
            assert number not in numbers
            numbers.add(number)
            node.gate.let_through()
            gevent.sleep(0)
    assert max(numbers) < 1 << 30  # none was drawn by lot
    one.end()
    other.end()


def test_guests_have_numbers_while_the_engine_is_away(
    engine: RunningEngine, claimers: Claimers
) -> None:
    nodes = claimers(engine.url, 2)
    engine.signal(SIGSTOP)
    try:
        numbers = [node.nodes.next_guest() for node in nodes for _ in range(1500)]
    finally:
        engine.signal(SIGCONT)
    assert len({*numbers}) == len(numbers)
