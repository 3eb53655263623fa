"""Servers that share an engine: one order, one life, and what becomes of one that others lose."""

from collections.abc import Sequence

import gevent
import pytest

from geventchat.protocol.errors import Refused
from geventchat.server.timeline.redis import life
from geventchat.server.timeline.submission import RecordChange
from tests.cores import within
from tests.engines import RunningEngine
from tests.server.record import say
from tests.server.timeline.redis.conftest import Watch
from tests.server.timeline.redis.listening import Listening
from tests.server.timeline.redis.watched import Watched, all_posts, hear_the_same, until

EXPIRED = "1"
"""The end of a lease, long ago."""


class Heard(Listening):
    """A listener that notes what it is told of others."""

    def __init__(self, watched: Watched) -> None:
        self.gone: list[str] = []
        self.records: list[RecordChange] = []
        watched.timeline.nodes.listen(self)

    def hear_gone(self, node: str) -> None:
        self.gone.append(node)

    def hear_records(self, changes: Sequence[RecordChange]) -> None:
        self.records += changes


def name(watched: Watched) -> str:
    return watched.timeline.nodes.name


# Together


def test_what_several_servers_store_has_one_order(engine: RunningEngine, watch: Watch) -> None:
    nodes = [watch(engine.url) for _ in range(3)]
    for number in range(50):
        for node in nodes:
            node.submit(say(f"{number} of {name(node)}"))
        gevent.sleep(0)
    hear_the_same(*nodes)
    assert len(nodes[0].texts) == 150
    for node in nodes:
        assert node.verdicts_of("stored") == [each.text for each in node.said.values()]
        own = [text for text in nodes[0].texts if text.endswith(name(node))]
        assert own == [each.text for each in node.said.values()]


def test_a_key_is_stored_once_on_whatever_server_it_is_sent(
    engine: RunningEngine, watch: Watch
) -> None:
    first, second = watch(engine.url), watch(engine.url)
    assert first.talk(say("one", "k")) == ["stored"]
    assert second.talk(say("one", "k")) == ["answered"]
    hear_the_same(first, second)
    assert first.texts == ["one"]


def test_servers_know_each_other_and_one_of_them_leads(engine: RunningEngine, watch: Watch) -> None:
    nodes = [watch(engine.url) for _ in range(3)]
    names = sorted(map(name, nodes))
    for node in nodes:
        assert sorted([*node.timeline.nodes.others, name(node)]) == names
        assert node.timeline.nodes.leads == (name(node) == names[0])


def test_a_server_that_comes_is_known_to_all_before_it_hears_anything(
    engine: RunningEngine, watch: Watch
) -> None:
    first, second = watch(engine.url), watch(engine.url)
    third = watch(engine.url)
    for node in first, second:
        assert name(third) in node.timeline.nodes.others


def test_others_hear_at_once_of_a_server_that_is_shut_down(
    engine: RunningEngine, watch: Watch
) -> None:
    first, second = watch(engine.url), watch(engine.url)
    heard = Heard(first)
    second.close()
    with within(life.LEASE_SECONDS - 1):
        until(lambda: heard.gone == [name(second)])
    assert first.timeline.nodes.others == []
    assert engine.call("HKEYS", "{gc}:leases") == [name(first).encode()]


def test_others_hear_of_a_server_that_was_killed_when_its_lease_ends(
    engine: RunningEngine, watch: Watch
) -> None:
    first, second = watch(engine.url), watch(engine.url)
    heard = Heard(first)
    second.die()
    until(lambda: heard.gone == [name(second)])
    assert first.talk(say("one")) == ["stored"]


def test_a_bug_in_what_follows_other_servers_is_no_hole_in_the_feed(
    engine: RunningEngine, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Heard):
        def hear_records(self, changes: Sequence[RecordChange]) -> None:
            raise ValueError(changes)

    first, second = watch(engine.url), watch(engine.url)
    Broken(first)
    second.timeline.keep([("account", "a", b"one")])
    assert second.talk(say("one")) == ["stored"]
    hear_the_same(first, second)
    assert caplog.text.count("following another server failed") == 1
    assert first.timeline.feed_holes == 0


def test_a_server_whose_former_one_has_no_connection_starts_at_once(
    engine: RunningEngine, watch: Watch
) -> None:
    first = watch(engine.url)
    first.talk(say("one"))
    first.die()
    with within(life.LEASE_SECONDS - 1):
        second = watch(engine.url)
    assert second.timeline.epoch == first.timeline.epoch
    assert second.timeline.position("lobby") == 1


def test_among_others_it_waits_until_its_former_one_is_gone_for_sure(
    engine: RunningEngine, watch: Watch
) -> None:
    first, second = watch(engine.url), watch(engine.url)
    second.die()
    with within(life.LEASE_SECONDS - 1):
        third = watch(engine.url)
    assert third.timeline.nodes.others == [name(first)]


# One that is lost


def test_a_server_whose_lease_has_ended_stores_nothing_once_another_has_noticed(
    engine: RunningEngine, watch: Watch
) -> None:
    paused = watch(engine.url)
    paused.talk(say("one"))
    gevent.killall(paused.timeline._helpers)  # as if its process was stopped
    engine.call("HSET", "{gc}:leases", name(paused), EXPIRED)
    other = watch(engine.url)
    other.talk(say("two"))
    assert paused.talk(say("three", "k")) == ["unknown"]
    assert "go on without this one" in (paused.timeline.lost or "")
    paused.timeline.greenlets[0].join(20)
    assert paused.timeline.greenlets[0].successful()
    assert paused.talk(say("four")) == ["failed"]
    with pytest.raises(Refused), gevent.Timeout(20):
        paused.timeline.open("tea")  # at once: what is to be heard for that never comes
    assert other.talk(say("five")) == ["stored"]
    assert [post.text for post in all_posts(other)] == ["one", "two", "five"]


def test_a_server_that_missed_something_ends_if_others_go_on(
    engine: RunningEngine, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = watch(engine.url), watch(engine.url)
    (feed,) = (each for each in second.timeline.greenlets if each.name == "feed")
    feed.kill()
    first.talk(say("one"), say("two"))
    first.talk(say("three"))
    engine.call("XTRIM", "{gc}:feed", "MAXLEN", 1)
    hearing = gevent.spawn(second.timeline._feed.run)
    until(lambda: second.timeline.lost is not None)
    hearing.kill()
    assert "was missed" in (second.timeline.lost or "")
    assert second.timeline.feed_holes == 1
    assert second.texts == []
    epoch = first.timeline.epoch
    second.close()
    assert first.talk(say("four")) == ["stored"]
    assert (first.timeline.epoch, first.timeline.nodes.others) == (epoch, [])


def test_a_server_alone_that_missed_something_goes_on_in_a_new_epoch(
    engine: RunningEngine, watch: Watch
) -> None:
    only = watch(engine.url)
    only.talk(say("one"))
    last = engine.call("XREVRANGE", "{gc}:feed", "+", "-", "COUNT", 1)[0][0].decode()
    number, _, place = last.partition("-")
    engine.call("XADD", "{gc}:feed", f"{number}-{int(place) + 5}", "h", name(only))
    until(lambda: only.epochs == 1)
    assert only.talk(say("two")) == ["stored"]
    assert only.timeline.feed_holes == 1
