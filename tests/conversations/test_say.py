"""Posting: the post is the acknowledgement, and a repetition is stored once."""

import time
from pathlib import Path

import pytest

from tests.conversations.conftest import Address, serving
from tests.conversations.control import beside
from tests.conversations.peers import Plain, Rich, of, texts


def test_the_post_is_the_acknowledgement(stored: Address) -> None:
    with Rich(stored, "ann") as ann, Rich(stored, "bob") as bob:
        ann.say("lobby", "hello", key="k1")
        (own,) = ann.posts(1)
        (heard,) = bob.posts(1)
        assert own == heard
        assert own["key"] == "k1"
        assert (own["room"], own["position"], own["author"]) == ("lobby", 1, "ann")


def test_everyone_hears_the_same_posts_in_the_same_dense_order(stored: Address) -> None:
    with Rich(stored) as ann, Rich(stored) as bob, Plain(stored) as eve:
        for number in range(20):
            ann.say("lobby", f"a{number}")
            bob.say("lobby", f"b{number}")
            eve.send(f"e{number}\0".encode())
        heard = ann.posts(60)
        assert [post["position"] for post in heard] == list(range(1, 61))
        assert bob.posts(60) == heard
        others = [post["text"].encode() for post in heard if not post["text"].startswith("e")]
        assert eve.frames(40) == others
        for author in "abe":
            own = [post["text"] for post in heard if post["text"].startswith(author)]
            assert own == [f"{author}{number}" for number in range(20)]


def test_a_repeated_say_is_answered_with_the_position_of_the_first_one(stored: Address) -> None:
    with Rich(stored) as ann:
        ann.say("lobby", "once", key="k1")
        ann.posts(1)
        ann.say("lobby", "once", key="k1")
        (sent,) = of("sent", ann.hear(lambda event: event["type"] == "sent"))
        assert (sent["room"], sent["key"], sent["position"]) == ("lobby", "k1", 1)
        assert texts(ann.pong()) == []


def test_a_say_repeated_in_one_packet_is_stored_once(stored: Address) -> None:
    with Rich(stored) as ann, Rich(stored) as bob:
        say = b'{"type":"say","room":"lobby","text":"once","key":"k1"}\0'
        ann.send(say + say + b'{"type":"say","room":"lobby","text":"then","key":"k2"}\0')
        assert [post["text"] for post in bob.posts(2)] == ["once", "then"]
        heard = ann.hear(lambda event: event.get("key") == "k2")
        assert len(of("sent", heard)) == 1
        assert texts(heard) == ["once", "then"]


def test_a_key_used_for_another_text_is_a_conflict(stored: Address) -> None:
    with Rich(stored) as ann:
        ann.say("lobby", "one", key="k1")
        ann.posts(1)
        ann.say("lobby", "two", key="k1")
        (error,) = of("error", ann.hear(lambda event: event["type"] == "error"))
        assert (error["code"], error["key"]) == ("key_conflict", "k1")
        assert texts(ann.pong()) == []


def test_the_same_key_is_another_post_in_another_room_and_of_another_client(
    stored: Address,
) -> None:
    with Rich(stored, rooms=["a", "b"]) as ann, Rich(stored, rooms=["a"]) as bob:
        ann.say("a", "x", key="k1")
        ann.say("b", "x", key="k1")
        assert len(ann.posts(2)) == 2
        bob.say("a", "x", key="k1")
        assert [post["position"] for post in ann.posts(1)] == [2]


def test_a_say_repeated_on_a_new_connection_is_stored_once(stored: Address) -> None:
    with Rich(stored) as ann:
        ann.say("lobby", "once", key="k1")
        ann.posts(1)
    with Rich(stored, client=ann.client) as again:
        again.say("lobby", "once", key="k1")
        (sent,) = of("sent", again.hear(lambda event: event["type"] == "sent"))
        assert sent["position"] == 1


def test_a_say_repeated_after_a_restart_is_stored_once(tmp_path: Path) -> None:
    timeline = f"sqlite:{tmp_path}/chat.db"
    with serving(timeline) as server, Rich(server.address) as ann:
        ann.say("lobby", "once", key="k1")
        ann.posts(1)
    with serving(timeline) as server, Rich(server.address, client=ann.client) as again:
        assert texts(again.greeting) == ["once"]
        again.say("lobby", "once", key="k1")
        (sent,) = of("sent", again.hear(lambda event: event["type"] == "sent"))
        assert sent["position"] == 1


def test_positions_continue_when_the_clock_is_set_back(
    stored: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = [0.0, 4e9, 1e9, 0.0]
    with beside(stored) as bystanders, Rich(stored) as ann:
        for seconds in times:
            monkeypatch.setattr(time, "time", lambda seconds=seconds: seconds)
            ann.say("lobby", "x")
            (post,) = ann.posts(1)
            assert post["time"] == seconds * 1000
        bystanders.check_heard(*["x"] * len(times))


def test_a_say_without_a_key_is_a_post_each_time(stored: Address) -> None:
    with Rich(stored) as ann:
        ann.say("lobby", "again")
        ann.say("lobby", "again")
        posts = ann.posts(2)
        assert [post["position"] for post in posts] == [1, 2]
        assert not any("key" in post for post in posts)


def test_only_members_may_post_in_a_room(address: Address) -> None:
    with Rich(address) as ann, Rich(address, rooms=["secret"]) as bob:
        ann.say("secret", "hello", key="k1")
        (error,) = of("error", ann.pong())
        assert (error["code"], error["room"], error["key"]) == ("not_joined", "secret", "k1")
        assert texts(bob.pong()) == []
