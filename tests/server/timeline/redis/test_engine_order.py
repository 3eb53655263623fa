"""One connection serves greenlets in turn."""

from collections.abc import Callable
from itertools import count

import gevent

from tests.engines import RunningEngine
from tests.server.timeline.redis.conftest import Connect


def test_a_greenlet_that_asks_without_a_pause_keeps_no_other_waiting(
    engine: RunningEngine, connect: Connect
) -> None:
    connection = connect(engine)
    commands = count()
    busy = [gevent.spawn(ask_on, connection.call, commands) for _ in range(3)]
    gevent.sleep(0.01)
    try:
        for _ in range(20):
            before = next(commands)
            connection.call("PING")
            assert next(commands) - before < 10
    finally:
        gevent.killall(busy)


def ask_on(call: Callable[..., object], commands: "count[int]") -> None:
    while True:
        call("PING")
        next(commands)


def test_who_gives_up_waiting_is_skipped(engine: RunningEngine, connect: Connect) -> None:
    connection = connect(engine, seconds=5)
    first = gevent.spawn(connection.call, "BLPOP", "never", "0.2")
    gevent.sleep(0.01)
    second, third = (gevent.spawn(connection.call, "PING") for _ in range(2))
    gevent.sleep(0.01)
    second.kill()
    with gevent.Timeout(20):
        assert first.get() is None
        assert third.get() == b"PONG"
        assert connection.call("PING") == b"PONG"
