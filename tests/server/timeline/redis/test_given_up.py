"""A question that is in doubt, and that nobody waits for any more, decides nothing afterwards."""

import time
from typing import Any

import gevent.event
import pytest

from geventchat.protocol.errors import Refused
from geventchat.server.timeline.redis import asking
from geventchat.server.timeline.redis.engine import InDoubt
from geventchat.server.timeline.redis.writer import Writer
from tests.engines import RunningEngine
from tests.server.timeline.redis.claimers import Claimer, claimers_on
from tests.server.timeline.redis.watched import until


class Doubts:
    """A connection to the engine on which answers are lost, before or after the command ran."""

    def __init__(self, node: Claimer, monkeypatch: pytest.MonkeyPatch, *, ran: bool) -> None:
        self.go_on = gevent.event.Event()
        self.asked = 0
        writer = node.nodes._claims._asking._writer
        run = Writer.run

        def doubtful(itself: Writer, script: Any, *arguments: Any) -> Any:
            if itself is writer and script is asking.CLAIMS and not self.asked:
                self.asked += 1
                if ran:
                    run(itself, script, *arguments)
                raise InDoubt("no answer in time")
            if itself is writer and script is asking.CLAIMS:
                self.go_on.wait()
            return run(itself, script, *arguments)

        monkeypatch.setattr(Writer, "run", doubtful)


def took_nobody(node: Claimer, other: Claimer) -> bool:
    """Return whether a node has taken no client from another with what it has asked so far."""
    node.enter("another")  # behind it
    other.enter("another")
    until(lambda: bool(node.moved))
    return other.moved == []


def test_who_gave_up_while_it_was_in_doubt_takes_no_client_away_later(
    engine: RunningEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that got no welcome came in elsewhere, and was replaced by its first attempt."""
    with claimers_on(engine.url, 2) as (slow, other):
        doubts = Doubts(slow, monkeypatch, ran=False)
        with monkeypatch.context() as hasty:
            hasty.setattr(asking, "_WAIT_SECONDS", 0.01)
            with pytest.raises(Refused):
                slow.enter("c")
        other.enter("c", guest="guest-7")
        doubts.go_on.set()
        until(lambda: slow.nodes._claims._asking.idle)
        assert took_nobody(slow, other)


def test_who_gave_up_while_the_connection_was_busy_takes_no_client_away(
    engine: RunningEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with claimers_on(engine.url, 2) as (slow, other):
        other.enter("c", guest="guest-7")
        busy = slow.nodes._claims._asking._writer._engine._lock
        assert busy.acquire(5)
        with monkeypatch.context() as hasty:
            hasty.setattr(asking, "_WAIT_SECONDS", 0.01)
            with pytest.raises(Refused):
                slow.enter("c")
        busy.release()
        assert took_nobody(slow, other)


def test_a_hello_that_took_too_long_before_takes_no_client_away(engine: RunningEngine) -> None:
    with claimers_on(engine.url, 2) as (slow, other):
        other.enter("c", guest="guest-7")
        with pytest.raises(Refused):
            slow.enter("c", since=time.monotonic() - asking._WAIT_SECONDS)
        assert took_nobody(slow, other)


def test_who_gave_up_though_it_was_decided_leaves(
    engine: RunningEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with claimers_on(engine.url, 2) as (slow, other):
        doubts = Doubts(slow, monkeypatch, ran=True)
        with monkeypatch.context() as hasty:
            hasty.setattr(asking, "_WAIT_SECONDS", 0.01)
            with pytest.raises(Refused):
                slow.enter("c", former="Ann")
        doubts.go_on.set()
        until(lambda: slow.nodes._claims._asking.idle)
        until(lambda: other.may_have("Ann"))
