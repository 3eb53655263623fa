"""Another primary beneath a running server: it goes on there, and everybody is told of the gap."""

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.engines import HOST, KINDS, RunningEngine, running, sentinel
from tests.server.record import say
from tests.server.timeline.redis.conftest import Connect
from tests.server.timeline.redis.watched import Watched, hear_the_same, until

_SERVICE = f"redis+sentinel://{HOST}/main"


@pytest.fixture(params=KINDS)
def pair(request: pytest.FixtureRequest) -> Iterator[list[RunningEngine]]:
    """Return a primary that a Sentinel knows, and its replica."""
    kind = request.param
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(
                running(kind, "--port", port, "--bind", HOST, "--repl-diskless-sync-delay", "0")
            )
            for port in ("7001", "7002")
        )
        stack.enter_context(sentinel(kind, HOST, "main", (HOST, 7001)))
        second.call("REPLICAOF", HOST, 7001)
        until_offset(first, second)
        yield [first, second]


def until_offset(primary: RunningEngine, replica: RunningEngine) -> None:
    """Wait until a replica has everything."""
    end = time.monotonic() + 60
    while facts(replica)["master_link_status"] != "up" or (
        facts(primary)["master_repl_offset"] != facts(replica)["slave_repl_offset"]
    ):
        assert time.monotonic() < end, replica.log
        time.sleep(0.01)


def facts(engine: RunningEngine) -> dict[str, str]:
    lines = engine.call("INFO", "replication").decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def promote(connect: Connect, replica: RunningEngine) -> None:
    """Make a replica the primary, and have the Sentinel say so."""
    replica.call("REPLICAOF", "NO", "ONE")
    watcher = connect(f"redis://{HOST}:26379", "failover")
    watcher.call("SENTINEL", "REMOVE", "main")
    watcher.call("SENTINEL", "MONITOR", "main", HOST, 7002, 1)


@pytest.mark.parametrize("how", ["killed", "demoted"])
def test_after_a_failover_a_server_goes_on_in_a_new_epoch(
    how: str, pair: list[RunningEngine], connect: Connect
) -> None:
    first, second = pair
    watched = Watched(_SERVICE)
    try:
        assert watched.talk(say("one"), say("two", "k")) == ["stored", "stored"]
        until_offset(first, second)
        if how == "killed":
            first.kill()
            promote(connect, second)
        else:
            promote(connect, second)
            first.call("REPLICAOF", HOST, 7002)
        until(lambda: watched.epochs == 1, 20)
        assert watched.talk(say("three"), say("two", "k")) == ["stored", "answered"]
        assert watched.timeline.position("lobby") == 3
        assert not watched.timeline.failing
    finally:
        watched.close()


def test_what_a_replica_has_not_heard_is_gone_and_its_position_is_of_a_new_epoch(
    pair: list[RunningEngine], connect: Connect
) -> None:
    first, second = pair
    watched = Watched(_SERVICE)
    try:
        watched.talk(say("one"))
        until_offset(first, second)
        epoch = watched.timeline.epoch
        second.call("REPLICAOF", "NO", "ONE")
        assert watched.talk(say("lost")) == ["stored"]
        first.kill()
        promote(connect, second)
        until(lambda: watched.epochs == 1, 20)
        assert watched.talk(say("two")) == ["stored"]
        assert watched.timeline.epoch != epoch
        assert [post.text for post in watched.timeline.before("lobby", 10, 10)] == ["one", "two"]
    finally:
        watched.close()


def test_after_a_failover_several_servers_are_in_one_new_epoch(
    pair: list[RunningEngine], connect: Connect
) -> None:
    first, second = pair
    nodes = [Watched(_SERVICE) for _ in range(2)]
    try:
        nodes[0].talk(say("one"))
        until_offset(first, second)
        first.kill()
        promote(connect, second)
        until(lambda: all(node.epochs == 1 for node in nodes), 30)
        assert nodes[0].talk(say("two")) == nodes[1].talk(say("three")) == ["stored"]
        hear_the_same(*nodes)
        assert [node.timeline.lost for node in nodes] == [None, None]
    finally:
        for node in nodes:
            node.close()
