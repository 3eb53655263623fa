"""Rooms: one for all spellings of a name, separate from others, forgotten when empty."""

from pathlib import Path

import pytest

from tests.conversations.conftest import Address, Serve, serving
from tests.conversations.peers import Plain, Rich, of, texts


@pytest.mark.parametrize(
    ("one", "other", "wire"),
    [
        ("Tea", "tEA", "tea"),
        ("caf\u00e9", "CAFE\u0301", "caf\u00e9"),
        ("tea", "\uff34\uff25\uff21", "tea"),
        ("stra\u00dfe", "STRASSE", "strasse"),
        ("\ufb01sh", "fish", "fish"),
    ],
)
def test_the_spellings_of_a_name_are_one_room(
    stored: Address, one: str, other: str, wire: str
) -> None:
    with Rich(stored, rooms=[one]) as ann, Rich(stored, rooms={}) as bob:
        joined = bob.ask("join", room=other)
        assert (joined["room"], joined["count"]) == (wire, 2)
        assert of("joined", ann.greeting)[0]["room"] == wire
        bob.say(one, "hello")
        (heard,) = ann.posts(1)
        assert (heard["room"], heard["text"]) == (wire, "hello")
        assert bob.posts(1) == [heard]
        assert bob.ask("who", room=one)["room"] == wire
        assert bob.ask("history", room=one, limit=1)["room"] == wire
        assert bob.ask("topic", room=one, topic="x")["room"] == wire
        assert bob.ask("leave", room=one)["room"] == wire


def test_lobby_in_any_spelling_is_the_lobby(address: Address) -> None:
    with Rich(address, rooms=["LOBBY"]) as ann, Plain(address) as eve:
        eve.send(b"hello\0")
        assert ann.posts(1)[0]["room"] == "lobby"
        ann.say("\uff2cobby", "hello to you")
        assert eve.frame() == b"hello to you"


def test_a_key_used_in_one_spelling_of_a_room_is_used_in_all(stored: Address) -> None:
    with Rich(stored, rooms=["tea"]) as ann:
        ann.say("tea", "once", key="k1")
        ann.posts(1)
        ann.say("TEA", "once", key="k1")
        (sent,) = of("sent", ann.hear(lambda event: event["type"] == "sent"))
        assert (sent["room"], sent["position"]) == ("tea", 1)


def test_the_posts_of_one_room_are_not_heard_in_another(stored: Address) -> None:
    with (
        Rich(stored, rooms=["a", "b"]) as ann,
        Rich(stored, rooms=["a"]) as bob,
        Rich(stored, rooms=["b"]) as carl,
        Plain(stored) as eve,
    ):
        for number in range(10):
            ann.say("a", f"a{number}")
            ann.say("b", f"b{number}")
        assert texts(bob.posts(10)) == [f"a{number}" for number in range(10)]
        assert texts(carl.posts(10)) == [f"b{number}" for number in range(10)]
        assert len(ann.posts(20)) == 20
        assert texts(bob.pong()) == texts(carl.pong()) == []
        with Rich(stored) as dora:
            dora.say("lobby", "marker")
            assert eve.until(b"marker") == []


def test_each_room_counts_its_own_positions(stored: Address) -> None:
    with Rich(stored, rooms=["a", "b"]) as ann:
        for room in "aabab":
            ann.say(room, "x")
        heard = [(post["room"], post["position"]) for post in ann.posts(5)]
        assert [position for room, position in heard if room == "a"] == [1, 2, 3]
        assert [position for room, position in heard if room == "b"] == [1, 2]


def test_positions_continue_in_a_room_that_everyone_left(stored: Address) -> None:
    with Rich(stored, rooms=["r"]) as ann:
        for number in range(3):
            ann.say("r", f"{number}")
        ann.posts(3)
        epoch = of("joined", ann.greeting)[0]["epoch"]
        ann.ask("leave", room="r")
        joined = ann.ask("join", room="r", epoch=epoch, position=3)
        assert (joined["position"], joined["recovered"]) == (3, True)
        ann.say("r", "next")
        assert [post["position"] for post in ann.posts(1)] == [4]
        ann.tell("bye")
        ann.rest()
    with Rich(stored, rooms=["r"]) as bob:
        (joined,) = of("joined", bob.greeting)
        assert (joined["position"], joined["epoch"], joined["count"]) == (4, epoch, 1)
        assert texts(bob.greeting) == ["0", "1", "2", "next"]
        bob.say("r", "and on")
        assert [post["position"] for post in bob.posts(1)] == [5]


def test_positions_and_the_epoch_continue_after_a_restart(tmp_path: Path) -> None:
    timeline = f"sqlite:{tmp_path}/chat.db"
    with serving(timeline) as server, Rich(server.address, rooms=["r"]) as ann:
        ann.say("r", "one")
        ann.posts(1)
        epoch = of("joined", ann.greeting)[0]["epoch"]
    cursor = {"r": {"epoch": epoch, "position": 1}}
    with serving(timeline) as server, Rich(server.address, rooms=cursor) as ann:
        (joined,) = ann.greeting
        assert (joined["epoch"], joined["recovered"]) == (epoch, True)
        ann.say("r", "two")
        assert [post["position"] for post in ann.posts(1)] == [2]


def test_memory_has_another_epoch_after_a_restart() -> None:
    epochs = set()
    for _ in range(2):
        with serving("memory:") as server, Rich(server.address) as ann:
            epochs.add(of("joined", ann.greeting)[0]["epoch"])
    assert len(epochs) == 2


@pytest.mark.parametrize("way", ["leave", "bye", "drop"])
def test_a_room_without_members_and_posts_is_forgotten(serve: Serve, way: str) -> None:
    address = serve(rooms=2)  # the lobby, with ann, and one more
    with Rich(address) as ann, Rich(address, rooms=["one"]) as bob:
        error = ann.ask("join", room="two")
        assert (error["code"], error["room"]) == ("too_many_rooms", "two")
        if way == "leave":
            bob.ask("leave", room="one")
        elif way == "bye":
            bob.tell("bye")
            bob.rest()
        else:
            bob.shut()
            bob.rest()
        assert ann.ask("join", room="two")["type"] == "joined"


def test_the_lobby_exists_even_at_the_room_limit(serve: Serve) -> None:
    address = serve(rooms=1)
    with Rich(address, rooms=["one"]) as ann, Plain(address) as eve, Rich(address) as bob:
        eve.send(b"hello\0")
        assert texts(bob.posts(1)) == ["hello"]
        assert ann.ask("join", room="lobby")["type"] == "joined"


def test_a_room_whose_members_dropped_is_joined_afresh_by_the_next_client(address: Address) -> None:
    with Rich(address, "ann", rooms=["r"]) as ann:
        ann.shut()
        ann.rest()
    with Rich(address, "bob", rooms=["r"]) as bob, Rich(address, client=ann.client, rooms=["r"]):
        members = bob.ask("who", room="r")
        assert (sorted(members["nicks"]), members["count"]) == (["ann", "bob"], 2)
