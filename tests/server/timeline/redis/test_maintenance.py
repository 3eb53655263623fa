"""Maintenance as a server runs it."""

import logging
from collections.abc import Iterator

import gevent
import pytest

from geventchat.config import Limits
from geventchat.server.timeline.redis import maintenance as module
from geventchat.server.timeline.redis.engine import Engine
from geventchat.server.timeline.redis.maintenance import Maintenance
from tests.server.timeline.redis.filled import LIFE, NODE, Filled


@pytest.fixture
def maintenance(connection: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Maintenance]:
    monkeypatch.setattr(module, "_STEP_SECONDS", 0.001)
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0.001)
    maintenance = Maintenance(lambda: connection, lambda: (NODE, LIFE), lambda: True)
    maintenance.configure(Limits(history_posts_per_room=5))
    running = gevent.spawn(maintenance.run)
    yield maintenance
    running.kill()


def wait_for(maintenance: Maintenance, trimmed: int) -> None:
    with gevent.Timeout(20):
        while maintenance.trimmed < trimmed:
            gevent.sleep(0.001)


def test_it_trims_and_cleans_what_is_there(
    maintenance: Maintenance, filled: Filled, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    filled.say("tea", *map(str, range(1_000)))
    filled.change("tea", 999, None)
    wait_for(maintenance, 995)
    with gevent.Timeout(20):
        while filled.engine.call("LLEN", "{gc}:remains") or not caplog.records:
            gevent.sleep(0.001)
    assert [record.message for record in caplog.records] == [
        "history trimmed: 995 messages deleted"
    ]


def test_it_goes_on_after_an_engine_was_away(
    maintenance: Maintenance, filled: Filled, caplog: pytest.LogCaptureFixture
) -> None:
    filled.engine.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no")
    filled.say("tea", *map(str, range(10)))
    wait_for(maintenance, 5)
    assert caplog.records == []


def test_what_the_engine_refuses_is_logged_once(
    maintenance: Maintenance, filled: Filled, caplog: pytest.LogCaptureFixture
) -> None:
    filled.engine.call("SET", "{gc}:rooms", "x")
    with gevent.Timeout(20):
        while not caplog.records:
            gevent.sleep(0.001)
    gevent.sleep(0.02)
    messages = [record.message for record in caplog.records]  # of one step, or of two
    assert len(set(messages)) == len(messages) <= 2
    filled.engine.call("DEL", "{gc}:rooms")
    filled.say("tea", *map(str, range(10)))
    wait_for(maintenance, 5)
