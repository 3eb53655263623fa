"""Deciding when nodes die and stop, engines go away, and connections are cut: nothing is lost."""

import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from signal import SIGCONT, SIGKILL, SIGSTOP

import gevent
import msgspec
import pytest
from gevent.event import Event

from geventchat.protocol.errors import Refused
from geventchat.server.timeline import Behind
from geventchat.server.timeline import redis as package
from geventchat.server.timeline.redis import deciding
from tests.engines import RunningEngine
from tests.fault_proxy import FaultProxy, faults
from tests.server.timeline.redis.deciders import Node, Nodes, nodes_on
from tests.server.timeline.redis.watched import until

SECONDS = 30.0


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for as long as a slow machine may need: what is tested is that it comes about."""
    monkeypatch.setattr(deciding, "_WAIT_SECONDS", SECONDS)


@contextmanager
def deciding_elsewhere(url: str, name: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a process that is a node of its own and has the right."""
    command = [sys.executable, "-m", "tests.server.timeline.redis.lone_decider", url, name]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.send_signal(SIGKILL)


def line_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    line: str = gevent.get_hub().threadpool.apply(process.stdout.readline)
    return line.strip()


def end_lease(engine: RunningEngine, node: str) -> None:
    """Let the lease of a node have ended."""
    engine.call("HSET", "{gc}:leases", node, 1)


def test_the_right_of_a_node_that_was_killed_is_free_when_its_lease_ends(
    engine: RunningEngine, deciders: Nodes
) -> None:
    (node,) = deciders(engine.url, 1)
    with deciding_elsewhere(engine.url, "a") as process:
        name = line_of(process)
        adding = gevent.spawn(node.add, "b")
        until(lambda: engine.call("LLEN", "{gc}:deciding") == 2)
        process.send_signal(SIGKILL)
        end_lease(engine, name)
        adding.get(timeout=SECONDS)
    assert node.states == {"b": 1}


def test_a_node_that_was_stopped_and_whose_lease_has_ended_decides_nothing(
    engine: RunningEngine, deciders: Nodes
) -> None:
    (node,) = deciders(engine.url, 1)
    with deciding_elsewhere(engine.url, "a") as process:
        name = line_of(process)
        process.send_signal(SIGSTOP)
        end_lease(engine, name)
        node.add("a", 5)
        process.send_signal(SIGCONT)
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert line_of(process) == "storage"
        node.add("a")
    assert node.states == {"a": 6}
    assert dict(node.timeline.records("test")) == {"a": b"\x06"}


def test_a_node_that_ends_in_order_leaves_the_right_at_once(
    engine: RunningEngine, deciders: Nodes
) -> None:
    (node,) = deciders(engine.url, 1)
    with nodes_on(engine.url, 1) as (other,):
        other.add("a")
    node.add("a")
    assert node.states == {"a": 2}


def test_what_is_decided_while_the_engine_restarts_is_done_once(
    own: RunningEngine, deciders: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = deciders(own.url, 2)
    nodes[0].add("a")
    adding = [gevent.spawn(node.add, "a") for node in nodes for _ in range(10)]
    for _ in range(2):
        gevent.sleep(0.005)
        own.restart(sleep=gevent.sleep)
    gevent.joinall(adding, timeout=SECONDS, raise_error=True)
    until(lambda: nodes[0].states == nodes[1].states)
    assert nodes[0].states == {"a": 21}


def test_who_waits_while_the_engine_hangs_is_refused_and_nothing_is_left_behind(
    own: RunningEngine, deciders: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package, "ENGINE_SECONDS", 0.3)
    one, two = deciders(own.url, 2)
    one.add("a")
    monkeypatch.setattr(deciding, "_WAIT_SECONDS", 0.5)
    own.signal(SIGSTOP)
    try:
        with pytest.raises(Refused):
            two.add("a")
    finally:
        own.signal(SIGCONT)
    monkeypatch.setattr(deciding, "_WAIT_SECONDS", SECONDS)
    one.add("a")
    two.add("a")
    until(lambda: one.states == two.states)
    assert one.states == {"a": 3}


def test_what_a_full_engine_refused_is_stored_later_and_nobody_decides_before(
    own: RunningEngine, deciders: Nodes
) -> None:
    """The memory of the node holds, so the others and the engine have to come to it."""
    one, two = deciders(own.url, 2)
    one.add("a")
    own.call("CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(Refused):
        one.add("a")
    adding = gevent.spawn(two.add, "a")
    until(lambda: own.call("LLEN", "{gc}:deciding") == 2)
    gevent.sleep(0.1)
    assert not adding.ready()
    own.call("CONFIG", "SET", "maxmemory", "0")
    adding.get(timeout=SECONDS)
    until(lambda: one.states == two.states)
    assert one.states == {"a": 3}
    assert dict(two.timeline.records("test")) == {"a": b"\x03"}


def test_all_decide_again_in_a_new_life_when_they_know_what_is_in_it(
    engine: RunningEngine, deciders: Nodes
) -> None:
    """What had the right in the old one is not waited for."""
    nodes = deciders(engine.url, 3)
    for node in nodes:
        node.add("a")
    engine.call("FLUSHALL")
    first = nodes[0].timeline.epoch
    adding = [gevent.spawn(_add_when_renewed, node, first) for node in nodes for _ in range(5)]
    gevent.joinall(adding, timeout=SECONDS, raise_error=True)
    until(lambda: all(node.states == {"a": 15} for node in nodes))


def _add_when_renewed(node: Node, epoch: str) -> None:
    until(lambda: node.timeline.epoch != epoch)
    node.add("a")


def test_nobody_decides_until_the_records_of_a_new_epoch_are_known(
    engine: RunningEngine, deciders: Nodes
) -> None:
    (node,) = deciders(engine.url, 1)
    changed = Event()
    node.timeline.epoch_changed = changed.set
    engine.call("FLUSHALL")
    assert changed.wait(SECONDS)
    adding = gevent.spawn(node.add, "a")
    with node.timeline.nodes.deciding(adopting=True):
        node.add("b")
        gevent.sleep(0.05)
        assert not adding.ready()
        node.timeline.nodes.adopted(node.timeline.epoch)
    adding.get(timeout=SECONDS)
    assert node.states == {"a": 1, "b": 1}


def test_no_record_of_a_new_epoch_is_overwritten_until_it_is_known(
    engine: RunningEngine, deciders: Nodes
) -> None:
    """It was written before this node heard anything of that epoch."""
    one, two = deciders(engine.url, 2, merge=max)
    changed = Event()
    two.timeline.epoch_changed = changed.set
    engine.call("FLUSHALL")
    until(lambda: bool(changed.is_set()))
    node, life = one.timeline.nodes.name, two.timeline._life.number
    until(lambda: one.timeline._life.number == life)
    engine.call(
        "XADD", "{gc}:kept", f"{life}-1", "n", node, "k", msgspec.msgpack.encode(["test/a"])
    )
    engine.call("HSET", "{gc}:records:test", "a", b"\x09")
    with pytest.raises(Behind):
        two.timeline.keep([("test", "a", b"\x05")])
    assert dict(two.timeline.records("test")) == {"a": b"\x09"}


def test_who_does_not_know_the_records_of_a_new_epoch_keeps_nobody_else_from_it(
    engine: RunningEngine, deciders: Nodes
) -> None:
    """It cannot write its own records before: others may have written them since."""
    one, two = deciders(engine.url, 2, merge=max)
    changed = Event(), Event()
    one.timeline.epoch_changed, two.timeline.epoch_changed = changed[0].set, changed[1].set
    engine.call("FLUSHALL")
    until(lambda: all(each.is_set() for each in changed))
    one.timeline.keep([("test", "a", b"\x09")])
    two.get("a").state = 10
    two.records.note(two.get("a"))
    with two.timeline.nodes.deciding(adopting=True):
        pass  # it left it to the other one
    with one.timeline.nodes.deciding(adopting=True):
        one.timeline.nodes.adopted(one.timeline.epoch)


# Everything at once


@pytest.mark.parametrize("seed", range(6))
def test_no_update_is_lost_whatever_happens_in_between(
    engine: RunningEngine, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Three nodes decide and note; greenlets are killed, and connections are cut."""
    monkeypatch.setattr(package, "ENGINE_SECONDS", 1.0)
    chance = random.Random(seed)
    with faults(engine.path) as proxy, nodes_on(proxy.url, 3, merge=max) as nodes:
        begun, done = [0], [0]

        def add(node: Node) -> None:
            with node.deciding():
                total = node.get("total")
                total.state = (total.state or 0) + 1
                begun[0] += 1
                if chance.random() < 0.3:
                    node.records.note(total)
                else:
                    node.records.save(total)
            done[0] += 1

        def raise_mark(node: Node, to: int) -> None:
            """Note something that no decision is needed for, such as what was read."""
            mark = node.get(f"mark {to % 3}")
            mark.state = max(mark.state or 0, to)
            node.records.note(mark)

        adding = []
        for number in range(150):
            node = chance.choice(nodes)
            what = chance.random()
            if what < 0.55:
                adding.append(gevent.spawn(add, node))
            elif what < 0.9:
                raise_mark(node, number)
            elif what < 0.95 and adding:
                chance.choice(adding).kill(block=False)
            else:
                _disturb(proxy, chance)
            gevent.sleep(chance.choice((0, 0, 0.001, 0.005)))
        gevent.joinall(adding, timeout=SECONDS)
        assert all(each.ready() for each in adding)
        until(lambda: all(node.states == nodes[0].states for node in nodes), SECONDS)
        for node in nodes:
            with suppress(Refused):
                node.records.settled()
        until(lambda: all(node.states == nodes[0].states for node in nodes), SECONDS)
        assert done[0] <= nodes[0].states["total"] == begun[0]
        stored = nodes[0].timeline.records("test")
        assert dict(stored) == {name: _packed(state) for name, state in nodes[0].states.items()}


def _packed(state: int) -> bytes:
    return bytes([state]) if state < 128 else bytes([0xCC, state])


def _disturb(proxy: FaultProxy, chance: random.Random) -> None:
    what = chance.randrange(3)
    if what == 0:
        proxy.cut()
    elif what == 1:
        proxy.lose_answer("EVALSHA")
    else:
        proxy.cut_answer(chance.randrange(10))
