"""What nodes tell each other: each knows the parts of all others, whatever was lost meanwhile."""

from typing import Any

import gevent
import pytest
from gevent.event import Event

from geventchat.server.timeline.nodes import Asked, Came, Counted, Directed, Resumed, Typed
from geventchat.server.timeline.redis import live, subscription
from geventchat.server.timeline.redis.engine import EngineError
from geventchat.server.timeline.redis.errors import InDoubt
from tests.engines import RunningEngine
from tests.server.timeline.redis.talkers import Talker, talkers_on
from tests.server.timeline.redis.watched import until


def hears(hearer: Talker, speaker: Talker, rooms: Any) -> None:
    """Wait until a node knows what is in the part of another."""
    until(lambda: hearer.parts.get(speaker.name) == rooms)


def names(published: list[bytes]) -> list[str]:
    """Return the ids of those who came, by what was published."""
    told = [item for each in published for _, item in live._published.decode(each).items]
    return [each.person.id for each in told if isinstance(each, Came)]


def test_what_changes_on_one_node_is_heard_by_all_others(engine: RunningEngine) -> None:
    with talkers_on(engine.url, 3) as (ann, *others):
        ann.came("tea", "1", "Ann")
        ann.came("tea", "2", "Bob")
        ann.came("tea", "1", "Anna")
        ann.went("tea", "2")
        ann.came("den", "1", "Anna")
        for each in others:
            hears(each, ann, {"tea": {"1": "Anna"}, "den": {"1": "Anna"}})


def test_a_node_that_starts_hears_who_was_there_before(engine: RunningEngine) -> None:
    with talkers_on(engine.url, 1) as (ann,):
        ann.came("tea", "1", "Ann")
        with talkers_on(engine.url, 1) as (bob,):
            hears(bob, ann, {"tea": {"1": "Ann"}})
            bob.came("tea", "2", "Bob")
            hears(ann, bob, {"tea": {"2": "Bob"}})


def test_what_is_told_is_heard_in_its_order_by_those_that_it_is_for(engine: RunningEngine) -> None:
    with talkers_on(engine.url, 3) as (ann, bob, eve):
        hears(bob, ann, {})
        hears(eve, ann, {})
        ann.nodes.tell(Typed("tea", "Ann"))
        ann.nodes.tell(Asked(1, "top"), bob.name)
        ann.came("tea", "1")
        ann.nodes.tell(Resumed(b"\xff" * 16, "1"))
        hears(eve, ann, {"tea": {"1": "1"}})
        until(lambda: len(eve.messages) == 2 and len(bob.messages) == 3)
        assert eve.messages == [Typed("tea", "Ann"), Resumed(b"\xff" * 16, "1")]
        assert bob.messages == [eve.messages[0], Asked(1, "top"), eve.messages[1]]
        assert ann.messages == []


@pytest.mark.parametrize("said", [b"", b"hello", b"\x95", b"\x95\xa1\xff\x01\xc2\x90\x92\x01\x02"])
def test_what_another_program_says_on_the_channel_ends_no_node(
    engine: RunningEngine, said: bytes
) -> None:
    with talkers_on(engine.url, 2) as (ann, bob):
        hears(bob, ann, {})
        engine.call("PUBLISH", bob.live._channel, said)
        ann.came("tea", "1", "Ann")
        hears(bob, ann, {"tea": {"1": "Ann"}})
        assert not any(each.dead for each in bob.timeline.greenlets)


@pytest.mark.parametrize(
    ("field", "value"),
    [(b"tea\0002", b"\xc1"), (b"tea\0002", b"\x01"), (b"tea\0", b"\xa1x"), (b"\xff\0002", b"x")],
)
def test_what_another_program_writes_into_a_part_ends_no_node_and_hides_nobody(
    engine: RunningEngine, field: bytes, value: bytes
) -> None:
    with talkers_on(engine.url, 2) as (ann, bob):
        ann.came("tea", "1", "Ann")
        hears(bob, ann, {"tea": {"1": "Ann"}})
        engine.call("HSET", f"{{gc}}:part:{ann.name}", field, value)
        wholes = bob.wholes
        bob.live._subscription.reconnect()
        until(lambda: bob.wholes > wholes)
        assert bob.parts[ann.name] == {"tea": {"1": "Ann"}}
        ann.came("tea", "3", "Eve")
        hears(bob, ann, {"tea": {"1": "Ann", "3": "Eve"}})


def test_a_room_of_too_many_is_a_number_until_they_are_named_again(engine: RunningEngine) -> None:
    with talkers_on(engine.url, 2) as (ann, bob):
        for number in range(3):
            ann.came("tea", str(number))
        ann.nodes.share(Counted("tea", 700))
        hears(bob, ann, {"tea": 700})
        wholes = bob.wholes
        bob.live._subscription.reconnect()
        until(lambda: bob.wholes > wholes)
        assert bob.parts[ann.name] == {"tea": 700}
        ann.nodes.share(Counted("tea", 0))
        ann.came("tea", "1")
        hears(bob, ann, {"tea": {"1": "1"}})
        assert engine.call("HLEN", f"{{gc}}:part:{ann.name}") == 2  # with the number of the part


def held(talker: Talker, monkeypatch: pytest.MonkeyPatch) -> tuple[Event, Event]:
    """Hold the feed of a node; return what lets it go on, and what tells that it is waited for."""
    go_on, awaited = Event(), Event()
    feed = talker.timeline._feed
    hear, wait = feed._hear, feed.wait

    def hearing(*entry: Any) -> None:
        go_on.wait()
        hear(*entry)

    def waiting(*arguments: Any) -> bool:
        awaited.set()
        return wait(*arguments)

    monkeypatch.setattr(feed, "_hear", hearing)
    monkeypatch.setattr(feed, "wait", waiting)
    return go_on, awaited


def test_what_a_node_says_is_heard_after_what_it_had_heard_of_the_feed(
    engine: RunningEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a leave comes after the posts of whoever left."""
    monkeypatch.setattr(live, "_FEED_SECONDS", 30.0)
    with talkers_on(engine.url, 2) as (ann, bob):
        hears(bob, ann, {})
        until(lambda: ann.name not in bob.live._behind)
        go_on, awaited = held(bob, monkeypatch)
        ann_feed, bob_feed = ann.timeline._feed, bob.timeline._feed
        until(lambda: ann_feed.passed > bob_feed.passed)
        ann.came("tea", "1")
        assert awaited.wait(20)
        assert bob.parts[ann.name] == {}
        go_on.set()
        hears(bob, ann, {"tea": {"1": "1"}})


def test_a_feed_that_is_away_does_not_keep_what_a_node_says(
    engine: RunningEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_FEED_SECONDS", 0.01)
    with talkers_on(engine.url, 2) as (ann, bob):
        hears(bob, ann, {})
        go_on, _ = held(bob, monkeypatch)
        until(lambda: ann.timeline._feed.passed > bob.timeline._feed.passed)
        ann.came("tea", "1")
        hears(bob, ann, {"tea": {"1": "1"}})
        go_on.set()


def test_who_was_cut_off_reads_what_was_missed(engine: RunningEngine) -> None:
    with talkers_on(engine.url, 2) as (ann, bob):
        ann.came("tea", "1")
        hears(bob, ann, {"tea": {"1": "1"}})
        engine.call("CLIENT", "KILL", "TYPE", "pubsub")
        ann.came("tea", "2")
        ann.went("tea", "1")
        hears(bob, ann, {"tea": {"2": "2"}})


def test_a_lost_message_is_noticed_by_the_next_one(
    engine: RunningEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with talkers_on(engine.url, 2) as (ann, bob):
        ann.came("tea", "1")
        hears(bob, ann, {"tea": {"1": "1"}})
        lost: list[bytes] = []
        hear = bob.live._subscription._hear
        monkeypatch.setattr(bob.live._subscription, "_hear", lost.append)
        ann.came("tea", "2")
        until(lambda: "2" in names(lost))  # that "1" came may be heard after it was read
        monkeypatch.setattr(bob.live._subscription, "_hear", hear)
        ann.came("tea", "3")
        hears(bob, ann, {"tea": {each: each for each in "123"}})


def test_the_last_message_that_was_lost_is_noticed_within_two_seconds(
    engine: RunningEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with talkers_on(engine.url, 2) as (ann, bob):
        ann.came("tea", "1")
        hears(bob, ann, {"tea": {"1": "1"}})
        monkeypatch.setattr(bob.live._subscription, "_hear", lambda _: None)
        ann.came("tea", "2")
        hears(bob, ann, {"tea": {"1": "1", "2": "2"}})


def test_a_deaf_connection_is_given_up(
    engine: RunningEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine holds it, and sends nothing: only a question shows that."""
    monkeypatch.setattr(subscription, "_QUIET_SECONDS", 0.05)
    monkeypatch.setattr(subscription, "_DEAF_SECONDS", 2.0)
    with talkers_on(engine.url, 1) as (ann,):
        until(lambda: ann.live._subscription._line is not None)
        first = ann.live._subscription._line
        assert first is not None
        asked: list[bytes] = []
        say = first.say

        def asking(data: bytes, end: float) -> None:
            asked.append(data)
            say(data, end)

        monkeypatch.setattr(first, "say", asking)
        until(lambda: len(asked) > 2)
        assert ann.live._subscription._line is first  # it is answered
        monkeypatch.setattr(first, "say", lambda *_: None)
        until(lambda: ann.live._subscription._line not in (first, None))


def test_a_part_that_somebody_has_deleted_is_written_again(engine: RunningEngine) -> None:
    with talkers_on(engine.url, 2) as (ann, bob):
        ann.came("tea", "1")
        hears(bob, ann, {"tea": {"1": "1"}})
        engine.call("DEL", f"{{gc}}:part:{ann.name}")
        ann.came("tea", "2")
        hears(bob, ann, {"tea": {"1": "1", "2": "2"}})
        engine.call("DEL", f"{{gc}}:part:{ann.name}")
        until(lambda: engine.call("HLEN", f"{{gc}}:part:{ann.name}") == 3)


def test_nobody_has_left_because_a_part_is_missing(
    engine: RunningEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its node has ended, which the feed tells, or is about to write it again."""
    with talkers_on(engine.url, 2) as (ann, bob):
        ann.came("tea", "1")
        hears(bob, ann, {"tea": {"1": "1"}})
        told: list[object] = []
        hear = bob.hear_part

        def noting(node: str, changes: Any, *, whole: bool) -> None:
            told.append(changes)
            hear(node, changes, whole=whole)

        monkeypatch.setattr(bob, "hear_part", noting)
        engine.call("DEL", f"{{gc}}:part:{ann.name}")
        bob.live._fall_behind(ann.name)
        until(lambda: not bob.live._behind)
        assert told
        assert [] not in told


def test_while_the_engine_is_away_what_changes_is_bounded_and_told_afterwards(
    own: RunningEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_MOST_QUEUED", 10)
    with talkers_on(own.url, 2) as (ann, bob):
        ann.came("tea", "0")
        hears(bob, ann, {"tea": {"0": "0"}})
        own.kill()
        for number in range(1, 100):
            ann.came("tea", str(number))
            assert len(ann.live._queue) <= 10
        ann.went("tea", "0")
        own.start(sleep=gevent.sleep)
        hears(bob, ann, {"tea": {str(each): str(each) for each in range(1, 100)}})
        ann.went("tea", "99")
        hears(bob, ann, {"tea": {str(each): str(each) for each in range(1, 99)}})


def test_an_answer_that_was_lost_repeats_nothing_and_loses_nothing(
    engine: RunningEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with talkers_on(engine.url, 2) as (ann, bob):
        ann.came("tea", "1")
        hears(bob, ann, {"tea": {"1": "1"}})
        until(lambda: ann.name not in bob.live._behind)
        wholes, run = bob.wholes, ann.live._writer.run
        lost: list[Any] = []

        def losing(script: Any, *arguments: Any) -> Any:
            answer = run(script, *arguments)
            if script is live.SHARE and not lost:
                lost.append(arguments)
                ann.came("tea", "3")
                raise EngineError("lost")
            return answer

        monkeypatch.setattr(ann.live._writer, "run", losing)
        ann.came("tea", "2")
        hears(bob, ann, {"tea": {each: each for each in "123"}})
        assert bob.wholes == wholes


@pytest.mark.parametrize("with_part", [False, True])
def test_a_direct_message_that_may_have_been_heard_is_not_told_again(
    engine: RunningEngine, monkeypatch: pytest.MonkeyPatch, with_part: bool
) -> None:
    with talkers_on(engine.url, 2) as (ann, bob):
        ann.came("tea", "1")
        hears(bob, ann, {"tea": {"1": "1"}})
        run, lost = ann.live._writer.run, Event()

        def losing(script: Any, *arguments: Any) -> Any:
            answer = run(script, *arguments)
            if script is live.SHARE and not lost.is_set():
                lost.set()
                raise InDoubt("lost")
            return answer

        monkeypatch.setattr(ann.live._writer, "run", losing)
        direct, typed = Directed(1, "bob", "ann", "hi", 0), Typed("tea", "ann")
        ann.nodes.tell(direct, bob.name)
        ann.nodes.tell(typed)
        if with_part:
            ann.came("tea", "2")
        assert lost.wait(20)
        ann.came("tea", "3")
        people = {"1": "1", "3": "3"} | ({"2": "2"} if with_part else {})
        hears(bob, ann, {"tea": people})
        assert bob.messages.count(direct) == 1
        assert typed in bob.messages


def test_a_node_that_ends_takes_its_part_along(engine: RunningEngine) -> None:
    with talkers_on(engine.url, 1) as (ann,):
        with talkers_on(engine.url, 1) as (bob,):
            bob.came("tea", "2")
            hears(ann, bob, {"tea": {"2": "2"}})
        until(lambda: bob.name not in ann.parts)
        until(lambda: not engine.call("EXISTS", f"{{gc}}:part:{bob.name}"))


def test_in_another_life_all_parts_are_written_again(own: RunningEngine) -> None:
    with talkers_on(own.url, 2) as (ann, bob):
        ann.came("tea", "1")
        hears(bob, ann, {"tea": {"1": "1"}})
        own.call("FLUSHALL")
        until(lambda: own.call("HLEN", f"{{gc}}:part:{ann.name}") == 2)
        ann.came("tea", "2")
        hears(bob, ann, {"tea": {"1": "1", "2": "2"}})


def test_a_node_alone_on_its_engine_tells_nothing(engine: RunningEngine) -> None:
    with talkers_on(engine.url, 1) as (ann,):
        ann.came("tea", "1")
        gevent.sleep(0.05)
        assert not engine.call("EXISTS", f"{{gc}}:part:{ann.name}")
        assert ann.live._queue == ann.live._queue.__class__()
