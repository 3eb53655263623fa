"""An engine that dies, hangs, forgets or refuses: nothing acknowledged is lost or doubled."""

from signal import SIGCONT, SIGSTOP

import gevent
import pytest

from geventchat.protocol.errors import Refused
from geventchat.protocol.events import Post, Topic
from geventchat.server.timeline import redis as package
from geventchat.server.timeline.redis import beating, feed, keeping, storing
from tests.engines import RunningEngine, running
from tests.fault_proxy import FaultProxy
from tests.server.record import edit, redact, say, set_topic
from tests.server.timeline.redis.conftest import Watch
from tests.server.timeline.redis.watched import Watched, all_posts, older, prompt, restart, until


def stored_once(watched: Watched) -> None:
    """Check that all that was said is stored once, in order, and is what was delivered."""
    watched.wait()
    assert watched.verdicts_of("failed", "unknown") == []
    assert watched.texts == [each.text for each in watched.said.values()]
    read = all_posts(watched)
    assert [post.text for post in read] == watched.texts


# It dies


def test_an_engine_that_is_killed_and_started_again_has_everything_once(
    own: RunningEngine, watch: Watch
) -> None:
    watched = watch(own.url)
    epoch = watched.timeline.epoch
    with watched.talking(keyed=False), prompt(1.0):  # the test itself waits for its end
        for _ in range(3):
            gevent.sleep(0.05)
            restart(own)
            until(lambda: not watched.timeline.failing)
    stored_once(watched)
    assert (watched.timeline.epoch, watched.epochs) == (epoch, 0)


def stop_beating(watched: Watched) -> None:
    """Have nothing in flight but what the test submits."""
    gevent.killall([each for each in watched.timeline.greenlets if each.name == "beat"])


@pytest.mark.usefixtures("impatient")
def test_readers_are_refused_while_it_is_away_and_served_again_after(
    own: RunningEngine, watch: Watch
) -> None:
    watched = watch(own.url)
    watched.talk(say("one"))
    own.kill()
    until(lambda: watched.timeline.failing)
    for read in (
        lambda: watched.timeline.open("tea"),
        lambda: watched.timeline.at("lobby", [1]),
        lambda: watched.timeline.with_topic("", "", 5),
        lambda: watched.timeline.records("account"),
    ):
        with pytest.raises(Refused) as refused:
            read()
        assert refused.value.code == "storage"
    assert [post.text for post in watched.timeline.since("lobby", 0, 1)] == ["one"]  # from memory
    own.start()
    until(lambda: not watched.timeline.failing)
    watched.timeline.open("tea")
    assert [post.text for post in watched.timeline.at("lobby", [1])] == ["one"]
    stored_once(watched)


@pytest.mark.usefixtures("impatient")
def test_what_was_never_sent_fails_and_what_was_is_unknown(
    own: RunningEngine, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "WAIT_SECONDS", 0.3)
    watched = watch(own.url)
    own.kill()
    assert watched.talk(say("never sent")) == ["failed"]
    own.start()
    until(lambda: not watched.timeline.failing)
    watched.timeline._writer._engine.call("PING")  # it is connected again
    stop_beating(watched)
    own.signal(SIGSTOP)
    try:
        watched.submit(say("sent", "k"))
        gevent.sleep(0.01)
        watched.submit(say("behind"))
        watched.wait()
    finally:
        own.signal(SIGCONT)
    monkeypatch.setattr(storing, "WAIT_SECONDS", 30)
    assert watched.verdicts_of("unknown") == ["sent"]
    assert watched.verdicts_of("failed") == ["never sent", "behind"]
    # It may be stored yet, but no copy of it after the turn that follows.
    assert watched.talk(say("next")) == ["stored"]
    assert watched.talk(say("sent", "k")) in (["answered"], ["stored"])
    assert watched.texts.count("sent") == 1
    assert "behind" not in watched.texts


def test_too_much_to_wait_for_fails_at_once(
    own: RunningEngine, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "MOST_WAITING", 10_000)
    watched = watch(own.url)
    own.kill()
    watched.submit(say("in flight"))
    gevent.sleep(0.01)
    watched.submit(*(say("x" * 600) for _ in range(20)))
    until(lambda: len(watched.verdicts) == 10)
    assert set(watched.verdicts.values()) == {"failed"}
    own.start()
    watched.wait()
    assert len(watched.verdicts_of("stored")) == 11


# It hangs


@pytest.mark.usefixtures("impatient")
def test_an_engine_that_hangs_stores_nothing_twice(
    own: RunningEngine, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it had not read is executed when it goes on, though the connection was closed."""
    monkeypatch.setattr(package, "ENGINE_SECONDS", 0.7)  # longer than the hub may be late
    watched = watch(own.url)
    with watched.talking(keyed=False), prompt():
        for _ in range(2):
            own.signal(SIGSTOP)
            until(lambda: watched.timeline.failing)
            gevent.sleep(0.3)
            own.signal(SIGCONT)
            until(lambda: not watched.timeline.failing)
    stored_once(watched)
    assert watched.epochs == 0


@pytest.mark.usefixtures("impatient")
def test_records_that_are_late_undo_nothing_newer(engine: RunningEngine, watch: Watch) -> None:
    watched = watch(engine.url)
    watched.timeline.keep([("account", "a", b"one")])
    watched.timeline.keep([("account", "a", b"two")])
    node, number = watched.timeline._life.node, watched.timeline._life.number
    late = keeping.packed([("account", "a", b"one")])
    engine.call("EVAL", keeping.KEEP.text, 0, node, number, 1, late, "0-0")
    assert watched.timeline.records("account") == [("a", b"two")]


# What is lost on the way


@pytest.mark.parametrize("silently", [False, True])
@pytest.mark.usefixtures("impatient")
def test_a_turn_whose_answer_is_lost_is_stored_once(
    proxy: FaultProxy, watch: Watch, silently: bool
) -> None:
    watched = watch(proxy.url)
    with watched.talking(keyed=False):
        for _ in range(5):
            proxy.lose_answer("EVALSHA", silently=silently)
            gevent.sleep(0.05)
    stored_once(watched)


def test_connections_that_are_cut_again_and_again_lose_nothing(
    proxy: FaultProxy, watch: Watch
) -> None:
    watched = watch(proxy.url)
    with watched.talking(keyed=False), prompt():
        for number in range(20):
            gevent.sleep(0.01)
            if number % 3 == 0:
                proxy.cut()
            elif number % 3 == 1:
                proxy.cut_command(number)
            else:
                proxy.cut_answer(number)
    stored_once(watched)
    assert watched.epochs == 0


def test_a_client_that_is_killed_connects_again(engine: RunningEngine, watch: Watch) -> None:
    watched = watch(engine.url)
    with watched.talking(keyed=False):
        for _ in range(5):
            gevent.sleep(0.02)
            engine.call("CLIENT", "KILL", "TYPE", "normal")
    stored_once(watched)


@pytest.mark.usefixtures("impatient")
def test_a_feed_that_goes_silent_is_noticed(
    proxy: FaultProxy, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection looks as if it lived, and the one for turns works."""
    monkeypatch.setattr(feed, "_DEAF_SECONDS", 0.3)
    monkeypatch.setattr(package, "ENGINE_SECONDS", 30.0)
    watched = watch(proxy.url)
    watched.talk(say("one"))
    proxy.lose_answer("XREAD", silently=True)
    watched.submit(say("two"))
    stored_once(watched)


@pytest.mark.usefixtures("impatient")
def test_a_turn_that_the_feed_has_brought_is_not_given_up(
    proxy: FaultProxy, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = watch(proxy.url)
    watched.talk(say("one"))
    stop_beating(watched)
    monkeypatch.setattr(storing, "WAIT_SECONDS", 0)
    proxy.lose_answer("EVALSHA", silently=True)
    assert watched.talk(say("two")) == ["stored"]
    until(lambda: watched.timeline.failing)
    monkeypatch.undo()
    assert watched.talk(say("three")) == ["stored"]


# It forgets


def test_flushing_begins_a_new_epoch(engine: RunningEngine, watch: Watch) -> None:
    watched = watch(engine.url)
    epoch = watched.timeline.epoch
    watched.talk(say("one", "k"), say("two"), set_topic("tea"))
    watched.timeline.keep([("account", "a", b"one")])
    with watched.talking():
        engine.call("FLUSHALL")
        until(lambda: watched.epochs == 1)
    watched.wait()
    assert watched.timeline.epoch != epoch
    assert watched.timeline.topic("lobby") == ""
    assert watched.verdicts_of("failed") == []
    assert watched.texts == [post.text for post in all_posts(watched)]
    watched.talk(say("one", "k"))
    assert all_posts(watched)[-1].text == "one"


def test_an_idle_server_notices_that_everything_was_flushed(
    engine: RunningEngine, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beating, "_BEAT_SECONDS", 0.1)
    watched = watch(engine.url, rooms=("lobby", "tea"))
    watched.talk(say("one"), say("two", room="tea"))
    engine.call("FLUSHALL")
    until(lambda: watched.epochs == 1)
    assert (watched.timeline.position("lobby"), watched.timeline.position("tea")) == (0, 0)
    assert watched.timeline.since("lobby", 0, 1) == []
    assert watched.talk(say("new")) == ["stored"]


def test_an_older_file_put_back_begins_a_new_epoch(own: RunningEngine, watch: Watch) -> None:
    watched = watch(own.url)
    watched.talk(*(say(str(number)) for number in range(5)))
    with older(own):
        watched.talk(say("lost"))
        assert watched.texts[-1] == "lost"
    until(lambda: watched.epochs == 1)
    assert watched.timeline.position("lobby") == 5
    assert watched.talk(say("new")) == ["stored"]
    assert [post.text for post in all_posts(watched)] == ["0", "1", "2", "3", "4", "new"]


@pytest.mark.parametrize("lags", [False, True])
def test_a_copy_that_takes_over_is_the_same_life_only_if_it_has_everything(
    engine: RunningEngine, proxy: FaultProxy, watch: Watch, lags: bool
) -> None:
    watched = watch(proxy.url)
    watched.talk(say("one"))
    with running(engine.kind) as other:
        if lags:
            copy(engine, other)
            watched.talk(say("two"))
        else:
            watched.talk(say("two"))
            copy(engine, other)
        proxy.redirect(other.path)
        watched.submit(say("three", "k"))
        watched.wait()
        if lags:
            until(lambda: watched.epochs == 1)
            assert watched.verdicts_of("unknown") == ["three"]
            assert watched.talk(say("three", "k")) == ["stored"]
            assert [post.text for post in all_posts(watched)] == ["one", "three"]
        else:
            assert watched.epochs == 0
            stored_once(watched)
        watched.close()


def copy(engine: RunningEngine, other: RunningEngine) -> None:
    """Have another engine hold what one holds."""
    keys = engine.call("KEYS", "*")
    for key in keys:
        other.call("RESTORE", key, 0, engine.call("DUMP", key), "REPLACE")


def test_a_hole_in_the_feed_begins_a_new_epoch(
    engine: RunningEngine, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beating, "_BEAT_SECONDS", 0.1)
    watched = watch(engine.url)
    watched.talk(say("one"))
    last = engine.call("XREVRANGE", "{gc}:feed", "+", "-", "COUNT", 1)[0][0].decode()
    number, _, place = last.partition("-")
    engine.call("XADD", "{gc}:feed", f"{number}-{int(place) + 2}", "h", "somebody")
    until(lambda: watched.epochs == 1)
    assert watched.timeline.position("lobby") == 1
    assert watched.talk(say("two")) == ["stored"]


def test_scripts_that_are_flushed_are_loaded_again(engine: RunningEngine, watch: Watch) -> None:
    watched = watch(engine.url)
    with watched.talking(keyed=False):
        for _ in range(5):
            gevent.sleep(0.02)
            engine.call("SCRIPT", "FLUSH")
    stored_once(watched)


# It refuses


@pytest.mark.usefixtures("impatient")
def test_an_engine_without_memory_fails_what_is_said_until_there_is_some(
    own: RunningEngine, watch: Watch
) -> None:
    watched = watch(own.url)
    watched.talk(say("one"))
    own.call("CONFIG", "SET", "maxmemory", "1")
    assert watched.talk(say("two")) == ["failed"]
    assert watched.timeline.failing
    with pytest.raises(Refused):
        watched.timeline.keep([("account", "a", b"one")])
    own.call("CONFIG", "SET", "maxmemory", "0")
    assert watched.talk(say("three"), edit(1, "ONE"), redact(2, may_redact_any=True)) == [
        "stored", "stored", "stored",
    ]  # fmt: skip
    until(lambda: not watched.timeline.failing)
    assert watched.epochs == 0


def test_an_engine_that_comes_back_without_a_file_stores_nothing_until_that_is_mended(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    with running("valkey") as engine:
        watched = watch(engine.url)
        watched.talk(say("one"))
        restart(engine, "--appendonly", "no")
        until(lambda: "CONFIG SET appendonly yes" in caplog.text)
        assert watched.timeline.failing
        engine.call("CONFIG", "SET", "appendonly", "yes", "appendfsync", "always")
        until(lambda: watched.epochs == 1)
        assert watched.talk(say("two")) == ["stored"]
        watched.close()


# Joining


def test_a_room_that_is_opened_while_people_talk_has_what_was_delivered(
    engine: RunningEngine, watch: Watch
) -> None:
    watched = watch(engine.url)
    timeline = watched.timeline
    for number in range(300):
        watched.submit(say(f"{number}", room="tea"), set_topic(f"topic {number}", room="tea"))
        if number % 5 == 0:
            gevent.sleep(0)
            with timeline.opened("tea"):
                heard = [entry for entry in watched.entries if entry.room == "tea"]
                posts = [entry for entry in heard if isinstance(entry, Post)]
                assert timeline.position("tea") == len(posts)
                topics = [entry.topic for entry in heard if isinstance(entry, Topic)]
                assert timeline.topic("tea") == (topics[-1] if topics else "")


# Closing


def test_what_is_kept_while_it_closes_is_refused_at_once_and_no_problem_is_logged(
    own: RunningEngine, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    watched = watch(own.url)
    watched.talk(say("one"))
    own.signal(SIGSTOP)
    keeping = gevent.spawn(watched.timeline.keep, [("account", "a", b"one")])
    gevent.sleep(0)
    watched.timeline.close(0)
    keeping.join(20)
    assert isinstance(keeping.exception, Refused)
    assert "does not store" not in caplog.text
    own.signal(SIGCONT)
