"""Hello: the welcome, the events after it, and a second connection of a client."""

import json
from typing import Any

import pytest
from gevent import spawn

from tests.conversations.conftest import Address, Serve
from tests.conversations.peers import Plain, Rich, encode, of, texts

CLIENT = "client-of-a-test-of-hello"


def hello(peer: Plain, **fields: Any) -> dict[str, Any]:
    """Send hello with these fields; return the first answer."""
    peer.send(b"\x1e" + encode({"type": "hello", "version": 1, "client": CLIENT, **fields}))
    answer: dict[str, Any] = json.loads(peer.frame())
    return answer


def positions(events: list[dict[str, Any]]) -> list[int]:
    return [post["position"] for post in of("post", events)]


def test_the_welcome_names_the_server_and_its_version(address: Address) -> None:
    with Rich(address, "ann") as ann:
        welcome = ann.welcome
        assert (welcome["type"], welcome["version"], welcome["nick"]) == ("welcome", 1, "ann")
        assert welcome["server"].startswith("geventchat ")
        features = ["rooms", "accounts", "private", "edit", "redact", "marks", "search"]
        assert welcome["features"] == features
        assert welcome["ping_seconds"] == 30
        assert welcome["limits"] == {"frame_bytes": 65_536, "rooms": 128, "nick_length": 32}


def test_the_welcome_says_the_limits_in_force(serve: Serve) -> None:
    with Rich(serve(frame_bytes=4096, rooms_per_client=7, ping_seconds=20)) as ann:
        assert ann.welcome["ping_seconds"] == 20
        assert ann.welcome["limits"] == {"frame_bytes": 4096, "rooms": 7, "nick_length": 32}


def test_the_welcome_carries_the_nonce_and_the_id(address: Address) -> None:
    with Plain(address) as peer:
        welcome = hello(peer, nonce="n\u00f6nce \u2603", id="h1")
        assert (welcome["nonce"], welcome["id"]) == ("n\u00f6nce \u2603", "h1")


def test_a_hello_without_a_nonce_is_accepted(address: Address) -> None:
    with Plain(address) as peer:
        welcome = hello(peer)
        assert welcome["type"] == "welcome"
        assert welcome.get("nonce") is None


def test_unknown_fields_are_ignored(address: Address) -> None:
    with Plain(address) as peer:
        assert hello(peer, colour="green", deep=[{"a": None}])["type"] == "welcome"


def test_a_hello_of_a_higher_version_is_answered_with_version_1(address: Address) -> None:
    with Plain(address) as peer:
        assert hello(peer, version=7)["version"] == 1
        assert json.loads(peer.frame())["type"] == "joined"


def test_a_hello_without_rooms_joins_the_lobby(stored: Address) -> None:
    with Rich(stored) as ann:
        (joined,) = ann.greeting
        assert (joined["type"], joined["room"], joined["position"]) == ("joined", "lobby", 0)
        assert (joined["oldest"], joined["recovered"], joined["count"]) == (1, None, 1)
        assert len(joined["epoch"]) >= 16
        assert "id" not in joined


def test_a_hello_with_an_empty_set_of_rooms_joins_none(address: Address) -> None:
    with Rich(address, "ann") as ann, Rich(address, "bob", rooms={}) as bob:
        assert bob.greeting == []
        assert bob.ask("who", room="lobby")["code"] == "not_joined"
        ann.say("lobby", "hello")
        ann.posts(1)
        assert bob.pong() == []
        assert ann.ask("who", room="lobby")["nicks"] == ["ann"]


def test_each_room_is_joined_and_then_replayed(stored: Address) -> None:
    rooms = ["c", "a", "b"]
    with Rich(stored, rooms=rooms) as ann:
        for room in rooms:
            for number in range(3):
                ann.say(room, f"{room}{number}")
        ann.posts(9)
        with Rich(stored, rooms=rooms) as bob:
            heard = [(event["type"], event["room"], event.get("text")) for event in bob.greeting]
            assert heard == [
                each
                for room in rooms
                for each in [
                    ("joined", room, None),
                    *(("post", room, f"{room}{number}") for number in range(3)),
                ]
            ]
            ann.say("b", "live")
            assert texts(bob.posts(1)) == ["live"]


def test_a_room_named_in_two_spellings_is_joined_once(address: Address) -> None:
    with Rich(address, rooms=["Tea", "tea", "\uff34EA"]) as ann:
        assert [joined["room"] for joined in of("joined", ann.greeting)] == ["tea"]
        assert of("error", ann.greeting) == []


@pytest.mark.parametrize("name", ["", "two words", "x" * 33, "a\u200bb", "l\u043ebby", "tab\t"])
def test_a_bad_room_in_hello_is_an_error_after_the_welcome(address: Address, name: str) -> None:
    with Rich(address, "ann", rooms=[name, "good"]) as ann:
        assert ann.nick == "ann"
        assert [joined["room"] for joined in of("joined", ann.greeting)] == ["good"]
        (error,) = of("error", ann.greeting)
        assert (error["code"], error["room"]) == ("bad_room", name)
        ann.say("good", "still here")
        assert texts(ann.posts(1)) == ["still here"]


def test_rooms_over_the_limit_in_hello_are_errors_after_the_welcome(serve: Serve) -> None:
    with Rich(serve(rooms_per_client=2), rooms=["a", "b", "c", "d"]) as ann:
        assert [joined["room"] for joined in of("joined", ann.greeting)] == ["a", "b"]
        errors = of("error", ann.greeting)
        assert [error["code"] for error in errors] == ["too_many_rooms"] * 2
        assert [error["room"] for error in errors] == ["c", "d"]
        ann.say("b", "still here")
        assert texts(ann.posts(1)) == ["still here"]


@pytest.mark.parametrize(
    ("nick", "code"),
    [
        ("Ann", "nick_in_use"),
        ("\u0430nn", "nick_too_similar"),
        ("system", "bad_nick"),
        ("guest-1", "bad_nick"),
        ("a b", "bad_nick"),
        ("", "bad_nick"),
    ],
)
def test_a_client_refused_its_nick_in_hello_becomes_a_guest_and_hears_why(
    address: Address, nick: str, code: str
) -> None:
    with Rich(address, "ann"), Rich(address, nick) as bob:
        assert bob.nick.startswith("guest-")
        assert [error["code"] for error in of("error", bob.greeting)] == [code]
        assert [joined["room"] for joined in of("joined", bob.greeting)] == ["lobby"]
        bob.say("lobby", "hello")
        assert bob.posts(1)[0]["author"] == bob.nick


def test_a_client_without_a_nick_is_a_guest_of_its_own_name(address: Address) -> None:
    with Rich(address) as ann, Rich(address) as bob:
        assert ann.nick.startswith("guest-")
        assert bob.nick.startswith("guest-")
        assert ann.nick != bob.nick


def test_before_its_hello_a_connection_hears_the_lobby_like_a_plain_one(stored: Address) -> None:
    # Connections are taken in order: when ann is welcome, the one before hers is in the lobby.
    with Plain(stored) as peer, Rich(stored) as ann:
        ann.say("lobby", "early")
        ann.say("lobby", "birds")
        assert peer.frames(2) == [b"early", b"birds"]
        hello(peer)
        joined, *posts = [json.loads(frame) for frame in peer.frames(3)]
        assert (joined["position"], texts(posts)) == (2, ["early", "birds"])
        ann.say("lobby", "late")
        assert json.loads(peer.frame())["position"] == 3


def test_a_welcome_that_a_peer_forged_comes_before_and_without_the_nonce(address: Address) -> None:
    with Plain(address) as peer, Plain(address) as eve:
        forged = encode({"type": "welcome", "version": 1, "nonce": "guess", "nick": "root"})
        eve.send(forged)
        assert peer.frame() + b"\0" == forged
        assert hello(peer, nonce="secret")["nonce"] == "secret"


def test_a_second_hello_is_forbidden_and_changes_nothing(address: Address) -> None:
    with Rich(address, "ann") as ann:
        error = ann.ask("hello", version=1, client=CLIENT, nick="zoe")
        assert (error["type"], error["code"]) == ("error", "forbidden")
        ann.say("lobby", "hello")
        assert ann.posts(1)[0]["author"] == "ann"


def test_a_second_connection_of_a_client_replaces_the_first_and_keeps_its_nick(
    address: Address,
) -> None:
    with (
        Rich(address, "bob") as bob,
        Rich(address, "ann") as first,
        Rich(address, client=first.client) as second,
    ):
        (bye,) = of("bye", first.closing())
        assert (bye["code"], bye["reconnect"]) == ("replaced", False)
        assert second.nick == "ann"
        assert bob.ask("who", room="lobby")["nicks"] == ["bob", "ann"]
        bob.tell("direct", to="ann", text="psst")
        assert of("direct", [second.event()])[0]["text"] == "psst"


def test_the_others_do_not_notice_a_replaced_connection(address: Address) -> None:
    with Rich(address, "bob") as bob, Rich(address, "ann") as first:
        bob.pong()
        with Rich(address, client=first.client) as second:
            first.rest()
            second.say("lobby", "me again")
            heard = bob.hear(lambda event: event["type"] == "post")
            assert [event["type"] for event in heard] == ["post"]
            assert heard[0]["author"] == "ann"


def test_a_replacing_client_leaves_the_rooms_it_does_not_rejoin(
    address: Address,
) -> None:
    rooms = ["a", "b"]
    with Rich(address, "bob", rooms=rooms) as bob, Rich(address, "ann", rooms=rooms) as first:
        bob.pong()
        with Rich(address, client=first.client, rooms=["b"]):
            presence = of("presence", bob.pong())
            assert [(each["room"], each["event"]) for each in presence] == [("a", "leave")]
            assert bob.ask("who", room="a")["nicks"] == ["bob"]
            assert bob.ask("who", room="b")["count"] == 2


def test_the_nick_in_hello_wins_over_the_one_inherited(address: Address) -> None:
    with Rich(address, "bob") as bob, Rich(address, "ann") as first:
        bob.pong()
        with Rich(address, "zoe", client=first.client) as second:
            assert second.nick == "zoe"
            (presence,) = of("presence", bob.pong())
            assert (presence["event"], presence["nick"]) == ("rename", "ann")
            assert presence["new_nick"] == "zoe"
            assert bob.ask("nick", nick="ann")["type"] == "renamed"


def test_a_message_repeated_on_the_second_connection_is_one_post(stored: Address) -> None:
    with Rich(stored, "bob") as bob, Rich(stored, "ann") as first:
        for number in range(20):
            first.say("lobby", f"t{number}", key=f"k{number}")
        with Rich(stored, client=first.client) as second:
            for number in range(20):
                second.say("lobby", f"t{number}", key=f"k{number}")
            second.say("lobby", "end")
            heard = bob.hear(lambda event: event.get("text") == "end")
            assert texts(heard) == [*(f"t{number}" for number in range(20)), "end"]
            assert {post["author"] for post in of("post", heard)} == {"ann"}


def test_nothing_is_lost_between_two_connections_of_one_client(stored: Address) -> None:
    total = 200

    def talk() -> None:
        with Rich(stored, "bob") as bob:
            for number in range(0, total, 5):
                for each in range(5):
                    bob.say("lobby", f"{number + each}")
                bob.posts(5)

    with Rich(stored) as first:
        epoch = first.greeting[0]["epoch"]
    talking = spawn(talk)
    read = 0
    second = Rich(stored, "ann", rooms={"lobby": {"epoch": epoch, "position": 0}})
    heard = positions(second.greeting)
    while read < total:
        heard += positions(second.posts(1)) if len(heard) + read < total else []
        first, cursor = second, {"epoch": epoch, "position": read + len(heard)}
        with first:
            second = Rich(stored, client=first.client, rooms={"lobby": cursor})
            *before, bye = first.closing()
            assert bye["code"] == "replaced"
        assert of("joined", second.greeting)[0]["recovered"] is True
        # The first receives everything until the second connects, and then nothing.
        heard += positions(before)
        assert heard == list(range(read + 1, read + len(heard) + 1))
        read = cursor["position"]
        heard = positions(second.greeting)
        assert heard == list(range(read + 1, read + len(heard) + 1))
    with second:
        assert positions(second.pong()) == []
    talking.get()
