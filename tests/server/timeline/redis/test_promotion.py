"""A copy that was promoted: something may be missing there, and the original may live on."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from geventchat.server.timeline.redis import RedisTimeline
from tests.engines import KINDS, RunningEngine, running
from tests.server.record import Record, say
from tests.server.timeline.redis.watched import Watched, until


@pytest.fixture(params=KINDS)
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[RunningEngine, RunningEngine]]:
    """Return a primary and its replica."""
    with running(request.param) as primary, running(request.param) as replica:
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            port = free.getsockname()[1]
        primary.call("CONFIG", "SET", "repl-diskless-sync-delay", 0)
        primary.call("CONFIG", "SET", "port", port)
        replica.call("REPLICAOF", "127.0.0.1", port)
        wait_for(replica, b"master_link_status:up")
        yield primary, replica


def wait_for(engine: RunningEngine, line: bytes) -> None:
    end = time.monotonic() + 60
    while line not in engine.call("INFO", "replication"):
        assert time.monotonic() < end, engine.log
        time.sleep(0.01)


def replicated(primary: RunningEngine, replica: RunningEngine) -> None:
    """Wait until a replica has all that its primary has now; a server may go on writing."""
    end = time.monotonic() + 60
    wanted = offset(primary, b"master_repl_offset:")
    while offset(replica, b"slave_repl_offset:") < wanted:
        assert time.monotonic() < end, replica.log
        time.sleep(0.01)


def offset(engine: RunningEngine, name: bytes) -> int:
    return int(engine.call("INFO", "replication").split(name)[1].split(b"\r")[0])


def test_a_server_begins_a_new_epoch_on_a_promoted_replica(
    pair: tuple[RunningEngine, RunningEngine],
) -> None:
    primary, replica = pair
    record = Record(lambda deliver: RedisTimeline(deliver, primary.url))
    record.turn(say("one"))
    epoch = record.timeline.epoch
    record.close()
    replicated(primary, replica)
    replica.call("REPLICAOF", "NO", "ONE")
    copied = Record(lambda deliver: RedisTimeline(deliver, replica.url))
    assert [post.text for post in copied.everything()] == ["one"]
    renewed = copied.timeline.epoch
    assert renewed != epoch
    copied.close()
    copied.reopen()
    assert copied.timeline.epoch == renewed
    copied.close()
    record.reopen()
    assert record.timeline.epoch == epoch
    record.close()


def test_a_server_goes_on_in_a_new_epoch_when_a_replica_takes_over(
    pair: tuple[RunningEngine, RunningEngine],
) -> None:
    primary, replica = pair
    with closing(Watched(primary.url)) as watched:
        assert watched.talk(say("one")) == ["stored"]
        replicated(primary, replica)
        replica.call("REPLICAOF", "NO", "ONE")
        primary.kill()
        Path(primary.path).symlink_to(replica.path)
        until(lambda: watched.epochs == 1)
        assert watched.talk(say("two")) == ["stored"]
        assert watched.timeline.position("lobby") == 2
