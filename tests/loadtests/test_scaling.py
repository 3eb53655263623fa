from dataclasses import replace

import pytest

from loadtests.scaling.costs import Costs
from loadtests.scaling.simulation import TURN_MESSAGES, Simulation, most

COSTS = Costs()


def test_the_same_seed_gives_the_same_result() -> None:
    assert Simulation(4, 500).run(0.5) == Simulation(4, 500).run(0.5)
    assert Simulation(4, 500, seed=2).run(0.5) != Simulation(4, 500).run(0.5)


def test_a_single_node_without_haste_costs_what_its_parts_cost() -> None:
    rate, quick = 100.0, replace(COSTS, fsync=0.0, network=1.0)
    result = Simulation(1, rate, quick).run(20.0)
    per_message = quick.turn + quick.message + quick.wake + quick.heard
    assert result.turns == pytest.approx(rate, rel=0.1)
    assert result.engine * 1e6 == pytest.approx(result.turns * per_message + quick.beat, rel=0.05)


def test_all_nodes_hear_every_message() -> None:
    assert Simulation(7, 300).run(1.0).arrived == 1.0


def test_batches_grow_when_the_disk_is_slow() -> None:
    slow = Simulation(2, 2_000, replace(COSTS, fsync=10_000.0)).run(1.0)
    fast = Simulation(2, 2_000).run(1.0)
    assert slow.turns < fast.turns / 4
    assert slow.arrived == fast.arrived == 1.0
    assert slow.p50_ms > 10


def test_each_node_that_listens_costs_the_engine_more() -> None:
    used = [Simulation(nodes, 200).run(0.5).engine for nodes in (1, 4, 16, 64)]
    assert used == sorted(used)
    assert used[-1] > 3 * used[0]


def test_a_load_beyond_what_the_engine_can_do_does_not_arrive_in_time() -> None:
    limit = most(2)
    assert Simulation(2, limit).run(1.0).arrived > 0.99
    assert Simulation(2, 2 * limit).run(1.0).p99_ms > 100


def test_a_turn_takes_no_more_than_a_turn_may_hold() -> None:
    result = Simulation(1, 200_000).run(0.3)
    assert result.rate / result.turns >= TURN_MESSAGES * 0.9
