"""A server that stores on an engine, which dies, hangs, forgets, or is another server's."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from signal import SIGCONT, SIGSTOP, SIGTERM
from typing import Any

import gevent
import pytest

from geventchat.client.connection import Connection
from geventchat.protocol.events import Post
from geventchat.server.timeline import redis as package
from geventchat.server.timeline.redis import beating, storing
from tests.conversations.chat import Chat, chatting
from tests.conversations.operators import TOKEN
from tests.conversations.peers import Rich, of
from tests.conversations.signed_in import registered
from tests.conversations.test_marks import said
from tests.cores import within
from tests.engines import RunningEngine, running
from tests.process import served

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def own() -> Iterator[RunningEngine]:
    """Return an engine for this test alone."""
    with running("valkey") as engine:
        yield engine


@pytest.fixture
def chat(own: RunningEngine, options: dict[str, Any], monkeypatch: Any) -> Iterator[Chat]:
    """Return a server on that engine, which notices soon that it does not answer."""
    monkeypatch.setattr(package, "ENGINE_SECONDS", 0.2)
    monkeypatch.setattr(beating, "_BEAT_SECONDS", 0.1)
    with chatting(own.url, options=options) as chat:
        yield chat


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        gevent.sleep(0.002)


def test_members_notice_nothing_of_an_engine_that_is_killed_and_starts_again(
    chat: Chat, own: RunningEngine
) -> None:
    plain = chat.plain()
    bob = chat.rich("Bob")
    with Connection(*chat.address, nick="Ann") as ann, gevent.Timeout(20):
        for number in range(60):
            ann.send("lobby", f"{number}")
            if number % 20 == 10:
                own.restart(sleep=gevent.sleep)
            gevent.sleep(0.002)
        heard = bob.posts(60)
        ann.wait_acknowledged()
    assert [post["text"] for post in heard] == [str(number) for number in range(60)]
    assert [post["position"] for post in heard] == list(range(1, 61))
    assert plain.frames(60) == [str(number).encode() for number in range(60)]


def test_while_it_is_away_readers_stay_and_what_they_need_of_it_is_refused(
    chat: Chat, own: RunningEngine
) -> None:
    ann, bob = chat.rich_clients("Ann", "Bob")
    said(ann, "one")
    bob.posts(1)
    own.kill()
    until(lambda: chat.server._timeline.failing)
    assert chat.server._readiness_problem() == "storage unavailable"
    assert ann.ask("join", room="tea")["code"] == "storage"
    assert ann.ask("who", room="lobby")["count"] == 2
    assert [post["text"] for post in ann.ask("history", room="lobby", limit=5)["posts"]] == ["one"]
    ann.say("lobby", "two")
    own.start(sleep=gevent.sleep)
    assert [post["text"] for post in bob.posts(1)] == ["two"]
    until(lambda: chat.server._readiness_problem() is None)
    assert ann.ask("join", room="tea")["type"] == "joined"


def test_an_author_whose_message_is_in_doubt_comes_back_and_it_is_there_once(
    chat: Chat, own: RunningEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "WAIT_SECONDS", 0.3)
    monkeypatch.setattr(beating, "_BEAT_SECONDS", 60)
    gevent.sleep(0.5)  # until no beat can be in flight before the messages
    bob = chat.rich("Bob")
    said(bob, "hello")
    plain, quiet = chat.plain(), chat.plain()
    with Connection(*chat.address, nick="Ann") as ann, gevent.Timeout(20):
        own.signal(SIGSTOP)
        ann.send("lobby", "one")
        plain.send(b"two\0")
        ann.send("lobby", "three")
        until(lambda: chat.server._hub.closes["storage"] >= 1)
        monkeypatch.setattr(storing, "WAIT_SECONDS", 30)
        own.signal(SIGCONT)
        ann.wait_acknowledged()
        ann.say("lobby", "end")
        heard = bob.hear(lambda event: event.get("text") == "end")
        texts = [event["text"] for event in of("post", heard)]
        seen = []
        for event in ann:
            if isinstance(event, Post) and event.text != "hello":
                seen.append(event.text)
                if event.text == "end":
                    break
    assert [text for text in texts if text != "two"] == ["one", "three", "end"]
    assert texts.count("two") <= 1
    assert seen == texts
    assert quiet.until(b"end") == [text.encode() for text in texts[:-1]]


def test_everybody_is_told_when_it_was_flushed(chat: Chat, own: RunningEngine) -> None:
    ann, bob, plain = registered(chat, "Ann"), chat.rich("Bob"), chat.plain()
    said(bob, "one", "ann two")
    epoch = of("joined", bob.greeting)[0]["epoch"]
    own.call("FLUSHALL")
    for peer in (ann, bob):
        assert peer.closing()[-1]["code"] == "storage"
    assert plain.rest()[-1].startswith(b"* geventchat: The server's storage has changed")
    cursor = {"lobby": {"epoch": epoch, "position": 2}}
    again = chat.rich("Bob", client=bob.client, rooms=cursor)
    (joined,) = of("joined", again.greeting)
    assert (joined["recovered"], joined["position"]) == (False, 0)
    back = chat.rich(account={"session": ann.welcome["session"]})
    assert back.nick == "Ann"
    assert said(back, "three") == 1
    until(lambda: len(chat.server._timeline.records("account")) == 1)


def test_operators_see_that_nothing_is_stored(chat: Chat, own: RunningEngine) -> None:
    ann = chat.rich("Ann")
    own.call("CONFIG", "SET", "maxmemory", "1")
    answer = ann.ask("say", room="lobby", text="one", key="k")
    assert (answer["type"], answer["code"]) == ("error", "storage")
    assert "geventchat_storage_up 0.0" in chat.server._metrics.text().decode()
    own.call("CONFIG", "SET", "maxmemory", "0")
    assert ann.ask("admin", action="list", token=TOKEN)["type"] == "admin"
    assert said(ann, "two") == 1


def test_metrics_show_who_uses_the_store_and_whether_the_server_hears(chat: Chat) -> None:
    text = chat.server._metrics.text().decode()
    assert "\ngeventchat_nodes 1.0\n" in text
    assert "\ngeventchat_feed_holes_total 0.0\n" in text
    silent = text.partition("\ngeventchat_feed_silent_seconds ")[2].partition("\n")[0]
    assert 0 <= float(silent) < 60


def test_a_server_that_another_has_replaced_ends_with_one_line(
    own: RunningEngine, tmp_path: Path
) -> None:
    options = ("--timeline", own.url)
    with served(tmp_path, *options) as paused, Rich(paused.address, "Ann") as ann:
        said(ann, "one")
        paused.signal(SIGSTOP)
        for node in own.call("HKEYS", "{gc}:leases"):
            own.call("HSET", "{gc}:leases", node, "1")
        (other := tmp_path / "other").mkdir()
        with served(other, *options) as second, Rich(second.address, "Ann") as again:
            assert said(again, "two") == 2
            paused.signal(SIGCONT)
            assert ann.closing()[-1]["reconnect"]
            ann.socket.close()
            assert paused.wait(30) == 1
            line = f"shutting down: the other servers on {own.url} go on without this one"
            assert len(paused.lines(line)) == 1
            assert paused.lines("Traceback") == []
            assert said(again, "three") == 3
            second.signal(SIGTERM)
            assert second.wait(30) == 0


def test_a_server_that_is_killed_is_followed_by_another_at_once(
    own: RunningEngine, tmp_path: Path
) -> None:
    options = ("--timeline", own.url)
    with served(tmp_path, *options) as first, Rich(first.address, "Ann") as ann:
        epoch = of("joined", ann.greeting)[0]["epoch"]
        said(ann, "one")
    with ExitStack() as stack:
        with within(4):
            second = stack.enter_context(served(tmp_path, *options))
        cursor = {"lobby": {"epoch": epoch, "position": 0}}
        with Rich(second.address, "Ann", client=ann.client, rooms=cursor) as again:
            assert of("joined", again.greeting)[0]["recovered"]
            assert [post["text"] for post in of("post", again.greeting)] == ["one"]


def test_a_server_whose_engine_hangs_ends_in_time(own: RunningEngine, tmp_path: Path) -> None:
    options = ("--timeline", own.url, "--drain-seconds", "2")
    with served(tmp_path, *options) as server, Rich(server.address, "Ann") as ann:
        said(ann, "one")
        own.signal(SIGSTOP)
        ann.say("lobby", "two", "k")
        server.signal(SIGTERM)
        assert ann.closing()[-1]["code"] == "shutdown"
        ann.socket.close()
        server.wait(20)
        assert server.lines("some messages were not stored in time; they were not acknowledged")
        assert server.lines("Traceback") == []
        own.signal(SIGCONT)
