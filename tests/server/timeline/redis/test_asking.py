"""Questions about clients and nicks that are answered late, in another life, or not at all."""

from collections.abc import Iterator
from signal import SIGCONT, SIGSTOP

import gevent
import pytest

from geventchat.protocol.errors import Refused
from tests.engines import RunningEngine
from tests.server.timeline.redis.claimers import Claimers
from tests.server.timeline.redis.gated import GatedNodes, emptied
from tests.server.timeline.redis.watched import until


@pytest.fixture
def gated(engine: RunningEngine) -> Iterator[tuple[GatedNodes, GatedNodes]]:
    emptied(engine)
    one, other = GatedNodes(engine), GatedNodes(engine)
    yield one, other
    one.end()
    other.end()


def test_a_hello_that_was_given_up_counts_nothing_in_a_new_life(
    gated: tuple[GatedNodes, GatedNodes], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = gated
    monkeypatch.setattr("geventchat.server.timeline.redis.asking._WAIT_SECONDS", 0.01)
    one.gate.losing = True
    with pytest.raises(Refused):
        one.enter(b"c", "guest-1", None, account=False)
    one.gate.let_through()
    monkeypatch.undo()
    one.gate.ended = True
    other.begin_life(2)
    other.gate.open = True
    entering = gevent.spawn(other.enter, b"c", "guest-2", None, account=False)
    until(lambda: (other.hear(), entering.ready())[1])
    until(one.gate.let_through)
    one.gate.ended = False
    one.begin_life(2)
    until(lambda: (one.gate.let_through(), one.claims.idle)[1])
    one.gate.open = True
    assert one.claims.known(b"c") == "guest-2"


def test_a_client_is_held_though_it_came_again_and_was_not_admitted(
    gated: tuple[GatedNodes, GatedNodes],
) -> None:
    one, other = gated
    one.gate.open = other.gate.open = True
    entering = gevent.spawn(one.enter, b"c", "guest-1", "Ann", account=False)
    until(lambda: (one.hear(), entering.ready())[1])
    one.gate.open = False
    again = gevent.spawn(one.enter, b"c", "guest-2", "Ann", account=False)
    gevent.sleep(0)
    one.hold(b"c", "Ann", 60)
    again.kill()
    one.gate.open = True
    while one.gate.let_through():
        pass
    until(lambda: one.claims.idle)
    with pytest.raises(Refused, match="is held for its former user"):
        other.claims.check("Ann")


def test_a_client_does_not_wait_longer_than_it_has_to_for_an_engine(
    engine: RunningEngine, claimers: Claimers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geventchat.server.timeline.redis.asking._WAIT_SECONDS", 0.2)
    (one,) = claimers(engine.url, 1)
    engine.signal(SIGSTOP)
    try:
        with pytest.raises(Refused, match="could not read or write"):
            one.enter("c")
    finally:
        engine.signal(SIGCONT)
    monkeypatch.undo()
    assert one.enter("c", guest="guest-4") in ("guest-0", "guest-4")  # it was asked, and may count


def test_who_gave_up_waiting_takes_no_client_away_later(
    engine: RunningEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    emptied(engine)
    one, other = GatedNodes(engine), GatedNodes(engine)
    monkeypatch.setattr("geventchat.server.timeline.redis.asking._WAIT_SECONDS", 0.01)
    for client in (b"first", b"c"):  # the first is being asked about, the other is not yet
        with pytest.raises(Refused):
            one.enter(client, "guest-1", None, account=False)
    monkeypatch.undo()
    other.gate.open = True
    entering = gevent.spawn(other.enter, b"c", "guest-2", None, account=False)
    until(lambda: (other.hear(), entering.ready())[1])
    assert entering.get() == "guest-2"
    while one.gate.let_through():
        gevent.sleep(0)
    assert not other.hear()
    one.end()
    other.end()
