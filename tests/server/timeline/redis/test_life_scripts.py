"""Lives, the node that stores, its beat and its records in real engines."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from geventchat.server.timeline.redis.engine import Away, Engine, Rejected
from geventchat.server.timeline.redis.scripts import Script
from tests.engines import KINDS, RunningEngine, running
from tests.server.record import say
from tests.server.timeline.redis.turns import LIFE, NODE, Turns

REGISTER, RENEW, BEAT, KEEP = map(Script, ("register", "renew", "beat", "keep"))


@pytest.fixture
def store(engine: RunningEngine) -> Iterator[Engine]:
    with closing(Engine(engine.where, name="test")) as store:
        yield store


@pytest.fixture
def turns(engine: RunningEngine) -> Iterator[Turns]:
    with closing(Turns(engine)) as turns:
        yield turns


def register(
    store: Engine, node: str, *, run: str = "r1", ended: str = "", renews: bool = False
) -> Any:
    return store.run(REGISTER, (), node, run, f"epoch of {node}", ended, int(renews))


def registered(store: Engine) -> list[bytes]:
    found: list[bytes] = store.call("HMGET", "{gc}:life", "node", "life", "epoch", "run")
    return found


# The node that stores


def test_the_first_node_begins_a_life(store: Engine) -> None:
    life, epoch, entry = register(store, "n1")
    assert (epoch, entry) == (b"epoch of n1", b"%d-0" % life)
    assert registered(store) == [b"n1", b"%d" % life, b"epoch of n1", b"r1"]


def test_another_node_waits_until_the_lease_has_ended(store: Engine) -> None:
    life, *_ = register(store, "n1")
    node, milliseconds = register(store, "n2")
    assert (node, 4_000 < milliseconds <= 5_000) == (b"n1", True)
    assert registered(store)[0] == b"n1"
    store.call("HSET", "{gc}:life", "lease", 1)
    assert register(store, "n2") == [life, b"epoch of n1", b"%d-1" % life]
    assert registered(store)[0] == b"n2"


def test_another_node_takes_over_from_one_that_has_surely_ended(store: Engine) -> None:
    life, *_ = register(store, "n1")
    assert register(store, "n2", ended="n0")[0] == b"n1"
    assert register(store, "n2", ended="n1") == [life, b"epoch of n1", b"%d-1" % life]


def test_in_another_process_it_is_a_new_life_if_the_engine_may_lose_something(
    store: Engine,
) -> None:
    life, *_ = register(store, "n1")
    assert register(store, "n1", renews=True)[:2] == [life, b"epoch of n1"]
    assert register(store, "n1", run="r2")[:2] == [life, b"epoch of n1"]
    renewed, epoch, entry = register(store, "n2", run="r3", ended="n1", renews=True)
    assert renewed > life
    assert (epoch, entry) == (b"epoch of n2", b"%d-0" % renewed)


def test_a_node_that_takes_over_forgets_the_answers_of_others(turns: Turns) -> None:
    turns.take(say("one"))
    register(turns.engine, "n2")
    assert turns.engine.call("EXISTS", "{gc}:nodes") == 0
    with pytest.raises(Rejected, match=r"^FENCED "):
        turns.ask(1, say("one"))


# New lives

AHEAD = 9_000_000_000_000
"""A life of an engine whose clock was far ahead."""


def renew(store: Engine, node: str, *, life: int, ended: str = "") -> Any:
    return store.run(RENEW, (), node, life, "new", "r2", ended)


def test_a_life_has_its_number_from_the_clock(store: Engine) -> None:
    """Two engines that go on from the same state begin different ones."""
    before, _ = map(int, store.call("TIME"))
    life, *_ = register(store, "n1")
    assert before * 1000 <= life < before * 1000 + 60_000
    assert 0 < renew(store, "n1", life=life)[0] - life < 60_000


def test_a_life_is_above_all_that_the_feed_knows(store: Engine) -> None:
    store.call("XADD", "{gc}:feed", f"{AHEAD}-3", "h", "n0")
    assert register(store, "n1")[::2] == [AHEAD + 1, b"%d-0" % (AHEAD + 1)]
    store.call("XADD", "{gc}:feed", f"{AHEAD + 5}-3", "h", "n0")
    assert renew(store, "n1", life=AHEAD) == [AHEAD + 6, b"%d-0" % (AHEAD + 6)]


def test_a_new_life_is_above_the_one_that_ended(store: Engine) -> None:
    assert renew(store, "n1", life=AHEAD) == [AHEAD + 1, b"%d-0" % (AHEAD + 1)]
    assert registered(store) == [b"n1", b"%d" % (AHEAD + 1), b"new", b"r2"]
    assert renew(store, "n1", life=1)[0] == AHEAD + 2


def test_a_node_begins_no_life_where_another_stores(store: Engine) -> None:
    life, *_ = register(store, "n1")
    assert renew(store, "n2", life=life) is None
    assert renew(store, "n2", life=life, ended="n1")[0] > life


# The beat


def test_a_beat_renews_the_lease(turns: Turns) -> None:
    turns.engine.run(BEAT, (), NODE, LIFE, "", "")
    assert register(turns.engine, "n2")[0] == NODE.encode()


def test_a_beat_adds_an_entry_only_to_a_quiet_feed(turns: Turns) -> None:
    first = turns.engine.run(BEAT, (), NODE, LIFE, "", "")
    second = turns.engine.run(BEAT, (), NODE, LIFE, first, "")
    assert (first, second) == (b"3-0", b"3-1")
    turns.take(say("one"))
    assert turns.engine.run(BEAT, (), NODE, LIFE, second, "") == b"3-2"
    assert turns.engine.call("XLEN", "{gc}:feed") == 3


def test_a_beat_trims_the_feed(turns: Turns) -> None:
    turns.take(say("one"))
    turns.take(say("two"))
    last = turns.engine.run(BEAT, (), NODE, LIFE, "", "3-2")
    entries = turns.engine.call("XRANGE", "{gc}:feed", "-", "+")
    assert [place for place, _ in entries] == [last] == [b"3-2"]


def test_without_the_feed_there_is_no_beat(turns: Turns) -> None:
    turns.engine.call("DEL", "{gc}:feed")
    with pytest.raises(Rejected, match=r"^FENCED the feed is missing"):
        turns.engine.run(BEAT, (), NODE, LIFE, "", "")


# Who may, and what a full engine does


@pytest.mark.parametrize(("node", "life"), [("n2", LIFE), (NODE, LIFE - 1)])
@pytest.mark.parametrize(
    ("script", "arguments"), [(BEAT, ("", "3-9")), (KEEP, (1, b"\x90", "0-0"))]
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
        assert turns.engine.run(BEAT, (), NODE, LIFE, "3-0", "") == b"3-1"
        assert register(turns.engine, "n2", ended=NODE)[0] == LIFE
