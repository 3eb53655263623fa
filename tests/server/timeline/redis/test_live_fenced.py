"""A server that learns of its end while it shares who is here."""

from geventchat.server.timeline.nodes import Came, Person
from tests.engines import RunningEngine
from tests.server.timeline.redis.conftest import Watch
from tests.server.timeline.redis.test_outages import stop_beating
from tests.server.timeline.redis.watched import until


def test_it_says_that_the_others_go_on_without_it(engine: RunningEngine, watch: Watch) -> None:
    """Not that one of its greenlets has ended, as after a bug."""
    first, other = watch(engine.url), watch(engine.url)
    until(lambda: bool(first.timeline.nodes.others))
    stop_beating(first)
    engine.call("HDEL", "{gc}:leases", first.timeline.nodes.name)
    first.timeline.nodes.share(Came("lobby", Person("p", "Ann")))
    until(lambda: first.timeline.lost is not None)
    assert "go on without this one" in (first.timeline.lost or "")
    assert other.timeline.lost is None
