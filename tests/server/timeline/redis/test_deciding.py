"""Deciding: one greenlet of one node at a time, which knows all that the others have written."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import gevent
import pytest

from geventchat.protocol.errors import Refused
from geventchat.server.people.records import wait_saved
from geventchat.server.timeline import RecordChange
from geventchat.server.timeline.redis import deciding
from geventchat.server.timeline.redis.deciding import DECIDE, UNDECIDE
from geventchat.server.timeline.redis.engine import Rejected
from geventchat.server.timeline.redis.writer import Writer
from tests.cores import within
from tests.engines import RunningEngine
from tests.server.timeline.redis.deciders import Node, Nodes
from tests.server.timeline.redis.turns import LIFE, Turns
from tests.server.timeline.redis.watched import until

SECONDS = 20.0


def settle(nodes: list[Node]) -> None:
    """Wait until all nodes know the same."""
    until(lambda: all(node.states == nodes[0].states for node in nodes))


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the scripts that write."""
    ran: Counter[str] = Counter()
    real = Writer.run

    def run(self: Writer, script: Any, *arguments: Any) -> Any:
        ran[script.name] += 1
        return real(self, script, *arguments)

    monkeypatch.setattr(Writer, "run", run)
    return ran


# One at a time


@pytest.mark.parametrize("count", [1, 2, 3])
def test_what_many_decide_at_once_is_all_done(
    engine: RunningEngine, deciders: Nodes, count: int
) -> None:
    nodes = deciders(engine.url, count)
    adding = [gevent.spawn(node.add, "total") for node in nodes for _ in range(60 // count)]
    gevent.joinall(adding, timeout=SECONDS, raise_error=True)
    settle(nodes)
    assert nodes[0].states == {"total": 60}


def test_what_another_node_has_written_is_known_in_the_block(
    engine: RunningEngine, deciders: Nodes
) -> None:
    one, two = deciders(engine.url, 2)
    for number in range(1, 20):
        one.add("a")
        with two.deciding():
            assert two.states == {"a": number}


def test_nobody_decides_while_another_does(engine: RunningEngine, deciders: Nodes) -> None:
    one, two = deciders(engine.url, 2)
    inside: list[str] = []

    def decide(node: Node, name: str) -> None:
        for _ in range(5):
            with node.deciding():
                inside.append(name)
                gevent.sleep(0.002)
                assert inside == [name]
                inside.remove(name)

    deciding = [
        gevent.spawn(decide, node, f"{node.timeline.nodes.name} {greenlet}")
        for node in (one, two)
        for greenlet in range(4)
    ]
    gevent.joinall(deciding, timeout=SECONDS, raise_error=True)


def test_who_decides_may_decide_inside(engine: RunningEngine, deciders: Nodes) -> None:
    one, two = deciders(engine.url, 2)
    with one.deciding():
        one.add("a")
        with one.deciding():
            one.add("a")
        other = gevent.spawn(two.add, "a")
        gevent.sleep(0.05)
        assert not other.ready()
        one.add("a")
    other.get(timeout=SECONDS)
    assert two.states == {"a": 4}


def test_greenlets_of_a_node_decide_in_the_order_in_which_they_asked(
    engine: RunningEngine, deciders: Nodes
) -> None:
    (node,) = deciders(engine.url, 1)
    decided: list[int] = []

    def decide(number: int) -> None:
        with node.deciding():
            gevent.sleep(0)
            decided.append(number)

    deciding = [gevent.spawn(decide, number) for number in range(10)]
    gevent.joinall(deciding, timeout=SECONDS, raise_error=True)
    assert decided == list(range(10))


def test_a_node_with_much_to_decide_does_not_keep_another_from_it(
    engine: RunningEngine, deciders: Nodes
) -> None:
    busy, other = deciders(engine.url, 2)

    def decide_always() -> None:
        while True:
            busy.add("busy")

    deciding = [gevent.spawn(decide_always) for _ in range(5)]
    try:
        until(lambda: busy.states.get("busy", 0) > 10)
        with within(SECONDS / 2):
            for _ in range(5):
                other.add("other")
    finally:
        gevent.killall(deciding)
    with other.deciding():
        assert other.states["other"] == 5


# What it costs


def test_a_node_that_decides_again_and_again_asks_only_once(
    engine: RunningEngine, deciders: Nodes, scripts: Counter[str]
) -> None:
    one, _ = deciders(engine.url, 2)
    one.add("a")
    scripts.clear()
    for _ in range(10):
        one.add("a")
    assert scripts["decide"] == scripts["undecide"] == 0


def test_what_is_waited_for_after_the_decision_is_written_together(
    engine: RunningEngine, deciders: Nodes, scripts: Counter[str]
) -> None:
    """A burst of joins takes a few writes, and the right is not another's until they are done."""
    one, two = deciders(engine.url, 2)
    one.add("a")
    scripts.clear()

    def decide() -> None:
        with one.deciding():
            number = one.get("a")
            number.state = (number.state or 0) + 1
            noted = one.records.note(number)
        wait_saved(noted)

    deciding = [gevent.spawn(decide) for _ in range(500)]
    gevent.joinall(deciding, timeout=SECONDS, raise_error=True)
    assert scripts["keep"] <= 10
    with two.deciding():
        assert two.states == {"a": 501}


def test_a_node_that_has_decided_for_now_gives_the_right_back_unless_it_is_alone(
    engine: RunningEngine,
    deciders: Nodes,
    scripts: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If it is killed, nobody has to wait for the end of its lease."""
    monkeypatch.setattr(deciding, "_IDLE_SECONDS", 0.05)
    (one,) = deciders(engine.url, 1)
    one.add("a")
    gevent.sleep(0.3)
    one.add("a")
    assert (scripts["decide"], scripts["undecide"]) == (1, 0)
    deciders(engine.url, 1)
    until(lambda: bool(one.timeline.nodes.others))
    one.add("a")
    until(lambda: scripts["undecide"] > 0)
    until(lambda: engine.call("EXISTS", "{gc}:deciding") == 0)
    before = scripts["decide"]
    one.add("a")
    assert scripts["decide"] == before + 1


# When it ends


def test_it_ends_when_what_was_noted_is_on_disk(engine: RunningEngine, deciders: Nodes) -> None:
    one, two = deciders(engine.url, 2)
    with one.deciding():
        number = one.get("a")
        number.state = 5
        one.records.note(number)
    with two.deciding():
        assert two.states == {"a": 5}


def test_a_node_knows_whether_others_may_decide(engine: RunningEngine, deciders: Nodes) -> None:
    """Until all of it is on disk: what others write until then may not know of it."""
    one, two = deciders(engine.url, 2)
    written: list[bool] = []
    keep = one.records._keep

    def keep_slowly(changes: Sequence[RecordChange]) -> None:
        gevent.sleep(0.05)
        written.append(one.timeline.nodes.decides)
        keep(changes)
        written.append(one.timeline.nodes.decides)

    one.records._keep = keep_slowly
    with one.deciding():
        number = one.get("a")
        number.state = 5
        one.records.note(number)
        deciding = gevent.spawn(two.add, "a")
        gevent.sleep(0.02)  # it asks for the right
    deciding.get(timeout=SECONDS)
    assert written == [True, True]
    assert [each.timeline.nodes.decides for each in (one, two)] == [False, True]


def test_what_was_noted_by_one_that_was_killed_is_known_to_the_next(
    engine: RunningEngine, deciders: Nodes
) -> None:
    one, two = deciders(engine.url, 2)
    for _ in range(20):
        before = one.get("a").state
        adding = gevent.spawn(one.add, "a")
        while one.get("a").state == before:
            gevent.sleep(0)
        adding.kill()
        with two.deciding():
            assert two.states == {"a": (before or 0) + 1}


def test_one_that_is_killed_while_it_waits_leaves_its_place(
    engine: RunningEngine, deciders: Nodes
) -> None:
    one, two = deciders(engine.url, 2)
    with one.deciding():
        waiting = [gevent.spawn(node.add, "a") for node in (one, two) for _ in range(3)]
        gevent.sleep(0.05)
        waiting[0].kill()
        waiting[4].kill()
    gevent.joinall(waiting, timeout=SECONDS)
    settle([one, two])
    assert one.states == {"a": 4}


def test_one_whose_turn_comes_as_it_is_killed_passes_it_on(
    engine: RunningEngine, deciders: Nodes
) -> None:
    (node,) = deciders(engine.url, 1)
    with node.deciding():
        waiting = [gevent.spawn(node.add, "a") for _ in range(2)]
        gevent.sleep(0.01)
        waiting[0].kill(block=False)  # it is its turn before it notices
    waiting[1].get(timeout=SECONDS)
    assert node.states == {"a": 1}


def test_an_error_in_the_block_ends_it(engine: RunningEngine, deciders: Nodes) -> None:
    one, two = deciders(engine.url, 2)
    with pytest.raises(ZeroDivisionError), one.deciding():
        raise ZeroDivisionError
    two.add("a")
    one.add("a")
    assert one.states == {"a": 2}


def test_who_waits_for_too_long_is_refused(
    engine: RunningEngine, deciders: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = deciders(engine.url, 2)
    with one.deciding():
        monkeypatch.setattr(deciding, "_WAIT_SECONDS", 0.1)
        for node in one, two:
            refused = gevent.spawn(node.add, "a")
            refused.join(SECONDS)
            assert isinstance(refused.exception, Refused)
            assert refused.exception.code == "storage"
    monkeypatch.undo()
    two.add("a")
    one.add("a")
    assert one.states == {"a": 2}


# The scripts


@pytest.fixture
def turns(engine: RunningEngine) -> Iterator[Turns]:
    with closing(Turns(engine)) as turns:
        turns.engine.call("HSET", "{gc}:leases", "n1", 1 << 50, "n2", 1 << 50, "n3", 1 << 50)
        yield turns


def ask(turns: Turns, node: str, number: int) -> Any:
    return turns.engine.run(DECIDE, (), node, LIFE, number)


def give_back(turns: Turns, node: str, number: int) -> None:
    turns.engine.run(UNDECIDE, (), node, LIFE, number)


def told(turns: Turns) -> list[tuple[bytes, bytes]]:
    """Return what the feed tells of who has the right, and who is asked to give it back."""
    entries = turns.engine.call("XRANGE", "{gc}:feed", "-", "+")
    return [(fields[0], fields[1]) for _, fields in entries if fields[0] in (b"d", b"q")]


def test_nodes_get_the_right_in_the_order_in_which_they_asked(turns: Turns) -> None:
    assert ask(turns, "n1", 1) == [1, 0, b"0-0"]
    assert ask(turns, "n2", 1) == [0, 1, b"0-0"]
    assert ask(turns, "n3", 1) == [0, 1, b"0-0"]
    assert ask(turns, "n1", 1) == [1, 1, b"0-0"]  # asked again
    assert told(turns) == [(b"q", b"3 n1 1")]
    give_back(turns, "n1", 1)
    assert ask(turns, "n1", 2)[0] == 0
    assert ask(turns, "n2", 1)[:2] == [1, 1]
    give_back(turns, "n2", 1)
    assert ask(turns, "n1", 2)[0] == 0
    assert ask(turns, "n3", 1)[:2] == [1, 1]
    assert told(turns) == [(b"q", b"3 n1 1"), (b"d", b"3 n2 1"), (b"d", b"3 n3 1")]


def test_copies_that_are_late_neither_take_the_right_nor_give_it_back(turns: Turns) -> None:
    ask(turns, "n1", 1)
    give_back(turns, "n1", 1)
    with pytest.raises(Rejected, match=r"^STALE "):
        ask(turns, "n1", 1)
    ask(turns, "n1", 2)
    give_back(turns, "n1", 1)
    assert ask(turns, "n2", 1)[0] == 0
    assert ask(turns, "n1", 2)[0] == 1


def test_the_right_of_a_node_that_is_gone_is_the_next_ones(turns: Turns) -> None:
    for node in "n1", "n2", "n3":
        ask(turns, node, 1)
    turns.engine.call("HDEL", "{gc}:leases", "n1")
    assert ask(turns, "n3", 1)[0] == 0
    assert told(turns)[-1] == (b"d", b"3 n2 1")
    turns.engine.call("HDEL", "{gc}:leases", "n2")
    assert ask(turns, "n3", 1) == [1, 0, b"0-0"]


def test_the_right_of_a_life_that_has_ended_is_nobodys(turns: Turns) -> None:
    ask(turns, "n1", 1)
    turns.engine.call("HSET", "{gc}:life", "life", LIFE + 1)
    assert turns.engine.run(DECIDE, (), "n2", LIFE + 1, 1)[0] == 1
