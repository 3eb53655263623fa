"""Servers that share an engine which dies, hangs or forgets: all are in one life again."""

import random
from collections.abc import Callable
from contextlib import closing, suppress
from signal import SIGCONT, SIGSTOP

import gevent
import pytest

from geventchat.config import BadSetting
from geventchat.protocol.events import Post
from geventchat.server.timeline import Batch
from geventchat.server.timeline.redis import life
from geventchat.server.timeline.redis.engine import Engine
from geventchat.server.timeline.redis.history import RedisHistory
from tests.engines import RunningEngine, running
from tests.fault_proxy import FaultProxy, faults
from tests.server.record import say
from tests.server.timeline.redis.conftest import Connect, Watch
from tests.server.timeline.redis.watched import (
    Watched,
    all_posts,
    hear_the_same,
    older,
    restart,
    until,
)


def test_several_servers_go_on_in_the_same_epoch_after_an_engine_was_killed(
    own: RunningEngine, watch: Watch
) -> None:
    nodes = [watch(own.url) for _ in range(3)]
    epoch = nodes[0].timeline.epoch
    for _ in range(2):
        with nodes[0].talking(), nodes[1].talking(), nodes[2].talking():
            gevent.sleep(0.1)
            restart(own)
            until(lambda: not any(node.timeline.failing for node in nodes))
            gevent.sleep(0.1)
    hear_the_same(*nodes)
    assert [node.epochs for node in nodes] == [0, 0, 0]
    assert nodes[2].timeline.epoch == epoch
    for node in nodes:
        assert node.verdicts_of("failed", "unknown") == []


def test_an_engine_that_hangs_for_longer_than_a_lease_costs_no_server_its_own(
    own: RunningEngine, watch: Watch
) -> None:
    nodes = [watch(own.url) for _ in range(3)]
    own.signal(SIGSTOP)
    gevent.sleep(life.LEASE_SECONDS + 1.5)
    own.signal(SIGCONT)
    for number, node in enumerate(nodes):
        assert node.talk(say(f"{number}")) == ["stored"]
    hear_the_same(*nodes)
    assert [node.timeline.lost for node in nodes] == [None, None, None]
    assert [node.epochs for node in nodes] == [0, 0, 0]
    assert len(own.call("HKEYS", "{gc}:leases")) == 3


def test_connections_that_go_silent_cost_a_server_no_lease(
    engine: RunningEngine, proxy: FaultProxy, watch: Watch
) -> None:
    near, far = watch(engine.url), watch(proxy.url)
    proxy.half_open()
    assert far.talk(say("one")) == ["stored"]
    hear_the_same(near, far)
    assert (far.timeline.lost, far.epochs) == (None, 0)


def test_who_starts_when_an_engine_is_back_waits_for_those_that_have_not_connected_again(
    own: RunningEngine, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(life, "_QUIET_SECONDS", 10.0)
    with faults(own.path) as proxy:
        former = [watch(proxy.url) for _ in range(2)]
        proxy.redirect("/nowhere")
        restart(own)
        for node in former:  # nobody has beaten since
            own.call("HSET", "{gc}:leases", node.timeline.nodes.name, 4001)
        own.call("HSET", "{gc}:life", "beaten", 1)
        starting = gevent.spawn(watch, own.url)
        until(lambda: own.call("HGET", "{gc}:life", "beaten") != b"1")
        proxy.redirect(own.path)
        newcomer = starting.get(timeout=20)
        for number, node in enumerate((*former, newcomer)):
            assert node.talk(say(f"{number}")) == ["stored"]
        assert [node.timeline.lost for node in former] == [None, None]
        assert {node.epochs for node in (*former, newcomer)} == {0}
        for node in (*former, newcomer):
            node.close()


def test_all_servers_are_in_one_new_epoch_after_everything_was_flushed(
    engine: RunningEngine, watch: Watch
) -> None:
    nodes = [watch(engine.url) for _ in range(3)]
    nodes[0].talk(say("gone"))
    engine.call("FLUSHALL")
    until(lambda: all(node.epochs == 1 for node in nodes))
    for number, node in enumerate(nodes):
        assert node.talk(say(f"{number}")) == ["stored"]
    hear_the_same(*nodes)
    assert sorted(nodes[0].texts) == ["0", "1", "2"]


def test_an_older_file_that_lacks_what_one_server_knows_is_a_new_epoch_for_all(
    own: RunningEngine, watch: Watch
) -> None:
    nodes = [watch(own.url) for _ in range(3)]
    nodes[0].talk(say("kept"))
    with older(own):
        nodes[1].talk(say("lost"))
    until(lambda: all(node.epochs == 1 for node in nodes), 20)
    assert nodes[2].talk(say("new")) == ["stored"]
    hear_the_same(*nodes)
    assert [post.text for post in all_posts(nodes[0])] == ["kept", "new"]


def test_an_engine_that_may_lose_seconds_is_a_new_epoch_for_all_when_it_was_restarted(
    watch: Watch,
) -> None:
    with running("valkey", "--appendfsync", "everysec") as own:
        nodes = [watch(f"{own.url}?fsync=everysec") for _ in range(2)]
        nodes[0].talk(say("one"))
        gevent.sleep(1.5)  # until it is on disk
        restart(own)
        until(lambda: all(node.epochs == 1 for node in nodes), 20)
        assert nodes[1].talk(say("two")) == ["stored"]
        hear_the_same(*nodes)
        for node in nodes:
            node.close()


def test_nobody_waits_for_long_for_a_server_that_does_not_compare_the_engine(
    own: RunningEngine, watch: Watch
) -> None:
    """It may have seen what is not there: a new epoch, in which it has no part."""
    nodes = [watch(own.url) for _ in range(3)]
    nodes[0].talk(say("one"))
    hear_the_same(*nodes)
    nodes[2].die()
    restart(own)
    until(lambda: all(node.epochs == 1 for node in nodes[:2]), 20)
    assert nodes[1].talk(say("two")) == ["stored"]
    hear_the_same(*nodes[:2])


def test_a_server_that_was_cut_off_joins_the_epoch_that_the_others_began(
    engine: RunningEngine, proxy: FaultProxy, watch: Watch
) -> None:
    near, far = watch(engine.url), watch(proxy.url)
    near.talk(say("one"))
    proxy.redirect("/nowhere")
    proxy.cut()
    engine.call("FLUSHALL")
    until(lambda: near.epochs == 1)
    assert near.talk(say("two")) == ["stored"]
    proxy.redirect(engine.path)
    until(lambda: far.epochs == 1, 20)
    assert far.talk(say("three")) == ["stored"]
    assert far.timeline.epoch == near.timeline.epoch
    until(lambda: near.texts == ["two", "three"])
    assert [post.text for post in all_posts(far)] == ["two", "three"]


def test_after_a_restart_a_server_hears_nothing_before_it_has_beaten(
    own: RunningEngine, watch: Watch, connect: Connect
) -> None:
    """Others may believe it dead by then, and have settled without it what is kept."""
    only = watch(own.url)
    (beat,) = (each for each in only.timeline.greenlets if each.name == "beat")
    beat.kill()
    only.timeline._life.sure_until = 0.0
    only.submit(say("one"))
    with closing(connect(own)) as store, suppress(gevent.Timeout), gevent.Timeout(20):
        while not store.call("EXISTS", "{gc}:room:lobby"):
            gevent.sleep(0.01)
    gevent.sleep(0.1)
    assert only.texts == []
    only.timeline._spawn("beat", only.timeline._beat)
    only.wait()
    assert only.texts == ["one"]


def test_what_was_stored_while_a_server_joined_an_epoch_is_not_delivered_to_it(
    engine: RunningEngine, watch: Watch, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """Its rooms have that already, and who joins them is shown it from the record."""
    near, far = watch(engine.url), watch(engine.url)
    real = far.timeline._read_rooms

    def read(line: Engine, begun: life.Begun) -> object:
        last = b""
        while near.epochs == 0:  # it may have to know this one first
            last, *_ = far.timeline._life.beat(line, begun, last)
            gevent.sleep(0.05)
        assert near.talk(say("between")) == ["stored"]
        return real(line, begun)

    monkeypatch.setattr(far.timeline, "_read_rooms", read)
    engine.call("FLUSHALL")
    until(lambda: far.epochs == 1)
    assert far.timeline.position("lobby") == 1
    assert far.talk(say("new")) == ["stored"]
    assert (near.texts, far.texts) == (["between", "new"], ["new"])
    assert "delivering a batch failed" not in caplog.text


def test_a_server_waits_while_the_history_is_claimed_and_then_says_so(
    engine: RunningEngine, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch(engine.url).close()
    monkeypatch.setattr(life, "_REGISTER_SECONDS", 0.2)
    with RedisHistory(engine.url).exclusive(), pytest.raises(BadSetting) as refused:
        watch(engine.url)
    assert "in use by `geventchat history`" in str(refused.value)
    watch(engine.url)


class Agreeing(Watched):
    """Also checks that all servers show one text at each position of an epoch."""

    def __init__(self, url: str, texts: dict[tuple[str, int], str]) -> None:
        self.all_texts = texts
        super().__init__(url)

    def _deliver(self, batch: Batch) -> None:
        for entry, _ in batch.entries:
            if isinstance(entry, Post):
                key = self.timeline.epoch, entry.position
                assert self.all_texts.setdefault(key, entry.text) == entry.text
        super()._deliver(batch)


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_happens_all_servers_show_the_same_and_everybody_gets_a_verdict(
    seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    texts: dict[tuple[str, int], str] = {}
    draw = random.Random(seed)
    with running("valkey") as engine, faults(engine.path) as proxy:
        nodes = [Agreeing(url, texts) for url in (engine.url, proxy.url, engine.url)]
        happenings: list[Callable[[], object]] = [
            proxy.cut,
            lambda: proxy.lose_answer("EVALSHA", draw.randint(1, 5)),
            lambda: restart(engine),
            lambda: restart(engine),
            lambda: go_back(engine, draw.random()),
            lambda: engine.call("FLUSHALL"),
            lambda: engine.call("SCRIPT", "FLUSH"),
            lambda: engine.call("CLIENT", "KILL", "TYPE", "normal"),
            lambda: end(nodes, draw.choice([Watched.close, Watched.die])),
            lambda: nodes.append(Agreeing(proxy.url, texts)),
        ]
        draw.shuffle(happenings)
        for happen in happenings:
            talkers = [gevent.spawn(talk, node, draw) for node in nodes]
            gevent.sleep(draw.random() / 2)
            happen()
            gevent.sleep(draw.random() / 2)
            gevent.killall(talkers)
        try:
            for node in nodes:
                node.wait(60)
            until(lambda: len({node.timeline.epoch for node in nodes}) == 1, 30)
            for number, node in enumerate(nodes):
                assert node.talk(say(f"last {number}")) == ["stored"]
            until(lambda: len({node.timeline.position("lobby") for node in nodes}) == 1)
            stored = [post.text for post in all_posts(nodes[0])]
            assert len(set(stored)) == len(stored)
            for (epoch, position), text in texts.items():
                if epoch == nodes[0].timeline.epoch:
                    assert stored[position - 1] == text
            assert "Traceback" not in caplog.text
            assert [node.timeline.lost for node in nodes] == [None] * len(nodes)
        finally:
            for node in nodes:
                node.close()


def talk(node: Watched, draw: random.Random) -> None:
    while True:
        text = f"{len(node.said)} of {node.timeline.nodes.name}"
        node.submit(say(text, draw.choice([None, text])))
        gevent.sleep(draw.random() / 50)


def go_back(engine: RunningEngine, seconds: float) -> None:
    """Put an older file back."""
    with older(engine):
        gevent.sleep(seconds)


def end(nodes: list[Agreeing], how: Callable[[Watched], None]) -> None:
    how(nodes.pop(0))
