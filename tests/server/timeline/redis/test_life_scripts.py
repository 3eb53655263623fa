"""Lives, the nodes that store, their beats and leases in real engines."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from geventchat.server.timeline.redis.engine import Away, Engine, Rejected
from geventchat.server.timeline.redis.scripts import Script
from tests.engines import KINDS, RunningEngine, running
from tests.server.record import say
from tests.server.timeline.redis.turns import LIFE, NODE, Turns

REGISTER, RENEW, BEAT, LEAVE, KEEP = map(Script, ("register", "renew", "beat", "leave", "keep"))


@pytest.fixture
def store(engine: RunningEngine) -> Iterator[Engine]:
    with closing(Engine(engine.where, name="test")) as store:
        yield store


@pytest.fixture
def turns(engine: RunningEngine) -> Iterator[Turns]:
    with closing(Turns(engine)) as turns:
        yield turns


def register(
    store: Engine,
    node: str,
    *ended: str,
    run: str = "r1",
    renews: bool = False,
    alone: bool = False,
    former: int = 0,
) -> Any:
    epoch = f"epoch of {node}"
    return store.run(REGISTER, (), node, run, epoch, int(renews), int(alone), former, *ended)


def beat(
    store: Engine, node: str, life: int, last: bytes | str = "", came: bytes | str = ""
) -> Any:
    return store.run(BEAT, (), node, life, last, "", came)


def registered(store: Engine) -> list[bytes]:
    found: list[bytes] = store.call("HMGET", "{gc}:life", "life", "epoch", "run")
    return found


def leased(store: Engine) -> list[bytes]:
    return sorted(store.call("HKEYS", "{gc}:leases"))


def last_of(store: Engine) -> Any:
    """Return the fields of the feed's last entry."""
    return store.call("XREVRANGE", "{gc}:feed", "+", "-", "COUNT", 1)[0][1]


def pass_time(store: Engine, milliseconds: int) -> None:
    """Have all leases, and the last beat, be so much older."""
    for node in leased(store):
        store.call("HINCRBY", "{gc}:leases", node, -milliseconds)
    store.call("HINCRBY", "{gc}:life", "beaten", -milliseconds)


# The nodes that store


def test_the_first_node_begins_a_life(store: Engine) -> None:
    joined, life, epoch, entry = register(store, "n1")
    assert (joined, epoch, entry) == (1, b"epoch of n1", b"%d-0" % life)
    assert registered(store) == [b"%d" % life, b"epoch of n1", b"r1"]
    assert leased(store) == [b"n1"]


def test_another_node_joins_and_the_feed_tells(store: Engine) -> None:
    _, life, *_ = register(store, "n1")
    assert register(store, "n2") == [1, life, b"epoch of n1", b"%d-1" % life, b"n1"]
    assert leased(store) == [b"n1", b"n2"]
    assert last_of(store) == [b"h", b"n2"]


def test_a_node_whose_lease_has_ended_is_removed_by_the_next_beat(turns: Turns) -> None:
    store = turns.engine
    register(store, "n2")
    store.call("HSET", "{gc}:nodes", "n2", "answer", "n2/keep", "answer")
    store.call("HSET", "{gc}:leases", "n2", 1)
    assert beat(store, NODE, LIFE) == [b"3-2", 1]
    assert last_of(store) == [b"g", b"n2"]
    assert (leased(store), store.call("HKEYS", "{gc}:nodes")) == ([NODE.encode()], [])
    with pytest.raises(Rejected, match=r"^FENCED "):
        turns.ask(1, say("one"), node="n2")


def test_a_node_that_is_late_may_renew_its_lease_if_no_other_has_beaten_since(turns: Turns) -> None:
    pass_time(turns.engine, 60_000)
    beat(turns.engine, NODE, LIFE)
    assert leased(turns.engine) == [NODE.encode()]
    assert int(turns.engine.call("HGET", "{gc}:leases", NODE)) > 1


def test_while_nobody_beats_no_lease_runs_out(turns: Turns) -> None:
    """The engine was stopped, or away, or the whole machine slept."""
    register(turns.engine, "n2")
    pass_time(turns.engine, 60_000)
    assert beat(turns.engine, NODE, LIFE)[2:] == [b"n2"]
    pass_time(turns.engine, 1_900)
    beat(turns.engine, NODE, LIFE)
    pass_time(turns.engine, 1_900)
    assert beat(turns.engine, NODE, LIFE)[2:] == [b"n2"]
    pass_time(turns.engine, 1_900)
    assert beat(turns.engine, NODE, LIFE)[2:] == []


def test_a_lease_ends_in_time_though_the_clock_was_set_back(turns: Turns) -> None:
    register(turns.engine, "n2")
    turns.engine.call("HINCRBY", "{gc}:leases", "n2", 3_600_000)
    beat(turns.engine, NODE, LIFE)
    for _ in range(3):
        pass_time(turns.engine, 1_900)
        found = beat(turns.engine, NODE, LIFE)
    assert found[2:] == []


def test_a_node_that_has_surely_ended_is_removed_at_once(store: Engine) -> None:
    _, life, *_ = register(store, "n1")
    register(store, "n2")
    assert register(store, "n3", "n1")[4:] == [b"n2"]
    assert store.run(BEAT, (), "n3", life, "", "", "", "n2")[2:] == []


def test_a_new_node_is_known_when_all_others_have_beaten_twice(store: Engine) -> None:
    _, life, _, first = register(store, "n1")
    *_, came, _ = register(store, "n2")
    assert beat(store, "n2", life, came=came)[1] == 0
    seen, *_ = beat(store, "n1", life, first)
    assert beat(store, "n2", life, came=came)[1] == 0
    beat(store, "n1", life, seen)
    assert beat(store, "n2", life, came=came)[1:] == [1, b"n1"]


def test_a_node_that_leaves_has_no_lease_and_the_feed_tells(turns: Turns) -> None:
    register(turns.engine, "n2")
    turns.engine.run(LEAVE, (), "n2", LIFE)
    assert (leased(turns.engine), last_of(turns.engine)) == ([NODE.encode()], [b"g", b"n2"])
    with pytest.raises(Rejected, match=r"^FENCED "):
        turns.engine.run(LEAVE, (), "n2", LIFE)


def test_a_node_that_wants_to_be_alone_waits_for_the_others_and_keeps_them_out(
    store: Engine,
) -> None:
    register(store, "n1")
    assert register(store, "n2", alone=True) == [0, b"n1"]
    assert register(store, "n2", "n1", alone=True)[0] == 1
    assert register(store, "n3") == [0, b"n2"]
    assert register(store, "n3", "n2")[0] == 1
    assert register(store, "n4")[0] == 1


def test_the_first_node_of_a_store_that_was_left_forgets_the_answers_of_others(
    turns: Turns,
) -> None:
    turns.take(say("one"))
    assert register(turns.engine, "n2", NODE)[:3] == [1, LIFE, b"e"]
    assert turns.engine.call("EXISTS", "{gc}:nodes") == 0
    with pytest.raises(Rejected, match=r"^FENCED "):
        turns.ask(1, say("one"))


# New lives

AHEAD = 9_000_000_000_000
"""A life of an engine whose clock was far ahead."""


def renew(store: Engine, node: str, life: int) -> Any:
    return store.run(RENEW, (), node, life, "new", "r2")


def test_in_another_process_it_is_a_new_life_if_the_engine_may_lose_something(
    store: Engine,
) -> None:
    _, life, *_ = register(store, "n1")
    assert register(store, "n1", renews=True)[1:3] == [life, b"epoch of n1"]
    assert register(store, "n2", "n1", run="r2")[1:3] == [life, b"epoch of n1"]
    _, renewed, epoch, entry = register(store, "n3", "n2", run="r3", renews=True)
    assert renewed > life
    assert (epoch, entry) == (b"epoch of n3", b"%d-0" % renewed)


def test_in_another_process_a_new_node_waits_until_the_others_have_compared_it(
    store: Engine,
) -> None:
    register(store, "n1")
    assert register(store, "n2", run="r2") == [0, b"n1"]
    assert leased(store) == [b"n1"]


CONFIRM = Script("confirm")


def confirm(
    store: Engine, node: str, place: bytes, *known: str, run: str = "r2", whole: bool = True,
    waited: bool = False, life: int = LIFE,
) -> Any:  # fmt: skip
    """Ask how it goes on, as a node that knows an entry of a node, and others beside itself."""
    return store.run(
        CONFIRM, (), node, life, "e", run, int(whole), int(waited), "new", place, node, "", node,
        *known,
    )  # fmt: skip


WAIT, GOES_ON, ENDED, FENCED = range(4)


@pytest.fixture
def two(turns: Turns) -> tuple[Engine, bytes, bytes]:
    """Return a store with two nodes, and the entry of each."""
    *_, second, _ = register(turns.engine, "n2")
    return turns.engine, b"3-0", second


def test_in_another_process_the_life_goes_on_when_all_have_found_what_they_know(
    two: tuple[Engine, bytes, bytes],
) -> None:
    store, first, second = two
    assert confirm(store, NODE, first, "n2") == WAIT
    assert confirm(store, NODE, first, "n2") == WAIT
    assert registered(store)[2] == b"r1"
    assert confirm(store, "n2", second, NODE) == GOES_ON
    assert confirm(store, NODE, first, "n2") == GOES_ON
    assert registered(store) == [b"%d" % LIFE, b"e", b"r2"]


def test_who_is_known_to_any_of_them_is_waited_for(two: tuple[Engine, bytes, bytes]) -> None:
    store, first, second = two
    assert confirm(store, NODE, first) == GOES_ON  # it knows of nobody else
    assert confirm(store, NODE, first, "n2", run="r3") == WAIT
    assert confirm(store, "n2", second, "n3", run="r3") == WAIT
    assert confirm(store, NODE, first, "n2", run="r3", waited=True) == ENDED


@pytest.mark.parametrize("case", ["lost", "another's", "not whole", "waited"])
def test_otherwise_it_is_a_new_life_for_all(two: tuple[Engine, bytes, bytes], case: str) -> None:
    store, first, second = two
    assert confirm(store, NODE, first, "n2") == WAIT
    place = {"lost": b"3-9", "another's": first}.get(case, second)
    found = confirm(store, "n2", place, NODE, "n3", whole=case != "not whole", waited=True)
    assert found == ENDED
    assert confirm(store, NODE, first, "n2") == ENDED
    life, epoch, run = registered(store)
    assert (int(life) > LIFE, epoch, run, leased(store)) == (True, b"new", b"r2", [])


def test_a_node_that_waits_for_others_is_not_removed_by_one_that_comes(
    two: tuple[Engine, bytes, bytes],
) -> None:
    store, first, _ = two
    for _ in range(5):
        pass_time(store, 1_900)
        assert confirm(store, NODE, first, "n2") == WAIT
        assert NODE.encode() in register(store, "n3", run="r2")
    assert leased(store) == [NODE.encode()]


def test_a_node_without_a_lease_takes_no_part_in_a_life_that_goes_on(
    two: tuple[Engine, bytes, bytes],
) -> None:
    store, first, second = two
    store.run(LEAVE, (), "n2", LIFE)
    assert confirm(store, "n2", second, run="r1") == FENCED
    assert confirm(store, NODE, first, run="r1") == GOES_ON
    assert confirm(store, NODE, first, run="r1", life=LIFE + 1) == ENDED


def test_in_the_same_process_a_life_of_which_something_is_missing_has_ended(turns: Turns) -> None:
    assert confirm(turns.engine, NODE, b"3-7", run="r1") == ENDED
    assert int(registered(turns.engine)[0]) > LIFE


def test_a_life_has_its_number_from_the_clock(store: Engine) -> None:
    """Two engines that go on from the same state begin different ones."""
    before, _ = map(int, store.call("TIME"))
    _, life, *_ = register(store, "n1")
    assert before * 1000 <= life < before * 1000 + 60_000
    renew(store, "n1", life)
    assert 0 < int(registered(store)[0]) - life < 60_000


def test_a_life_is_above_all_that_the_feed_and_the_node_know(store: Engine) -> None:
    store.call("XADD", "{gc}:feed", f"{AHEAD}-3", "h", "n0")
    assert register(store, "n1")[1::2] == [AHEAD + 1, b"%d-0" % (AHEAD + 1)]
    store.call("XADD", "{gc}:feed", f"{AHEAD + 5}-3", "h", "n0")
    assert renew(store, "n1", AHEAD + 1) == 1
    assert registered(store) == [b"%d" % (AHEAD + 6), b"new", b"r2"]
    store.call("FLUSHALL")
    assert register(store, "n1", former=AHEAD)[1] == AHEAD + 1


def test_a_life_that_another_has_begun_is_not_ended(store: Engine) -> None:
    _, life, *_ = register(store, "n1")
    assert renew(store, "n2", life - 1) == 1
    assert registered(store)[0] == b"%d" % life


def test_a_life_in_which_others_store_is_not_ended_by_one_that_has_missed_something(
    store: Engine,
) -> None:
    _, life, *_ = register(store, "n1")
    register(store, "n2")
    assert renew(store, "n2", life) == 0
    assert registered(store)[0] == b"%d" % life
    store.run(LEAVE, (), "n1", life)
    assert renew(store, "n2", life) == 1
    assert leased(store) == []


# The beat


def test_a_beat_renews_the_lease(turns: Turns) -> None:
    before = int(turns.engine.call("TIME")[0]) * 1000
    beat(turns.engine, NODE, LIFE)
    assert 4_000 < int(turns.engine.call("HGET", "{gc}:leases", NODE)) - before < 60_000


def test_a_beat_adds_an_entry_only_to_a_quiet_feed(turns: Turns) -> None:
    first, *_ = beat(turns.engine, NODE, LIFE)
    second, *_ = beat(turns.engine, NODE, LIFE, first)
    assert (first, second) == (b"3-0", b"3-1")
    turns.take(say("one"))
    assert beat(turns.engine, NODE, LIFE, second)[0] == b"3-2"
    assert turns.engine.call("XLEN", "{gc}:feed") == 3


def test_a_beat_trims_the_feed(turns: Turns) -> None:
    turns.take(say("one"))
    turns.take(say("two"))
    last, *_ = turns.engine.run(BEAT, (), NODE, LIFE, "", "3-2", "")
    entries = turns.engine.call("XRANGE", "{gc}:feed", "-", "+")
    assert [place for place, _ in entries] == [last] == [b"3-2"]


def test_without_the_feed_there_is_no_beat(turns: Turns) -> None:
    turns.engine.call("DEL", "{gc}:feed")
    with pytest.raises(Rejected, match=r"^FENCED the feed is missing"):
        beat(turns.engine, NODE, LIFE)


# Who may, and what a full engine does


@pytest.mark.parametrize(("node", "life"), [("n2", LIFE), (NODE, LIFE - 1)])
@pytest.mark.parametrize(
    ("script", "arguments"), [(BEAT, ("", "3-9", "")), (LEAVE, ()), (KEEP, (1, b"\x90", "0-0"))]
)
def test_a_node_or_life_that_is_not_registered_writes_nothing(
    turns: Turns, node: str, life: int, script: Script, arguments: tuple[str | int | bytes, ...]
) -> None:
    stored = turns.contents()
    with pytest.raises(Rejected, match=r"^FENCED "):
        turns.engine.run(script, (), node, life, *arguments)
    assert turns.contents() == stored


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_engine_keeps_nothing_but_its_node(kind: str) -> None:
    with running(kind) as engine, closing(Turns(engine)) as turns:
        turns.engine.call("CONFIG", "SET", "maxmemory", 1)
        with pytest.raises((Rejected, Away), match=r"^OOM "):
            turns.engine.run(KEEP, (), NODE, LIFE, 1, b"\x90", "0-0")
        assert beat(turns.engine, NODE, LIFE, "3-0") == [b"3-1", 1]
        assert register(turns.engine, "n2")[1] == LIFE
        turns.engine.run(LEAVE, (), "n2", LIFE)
