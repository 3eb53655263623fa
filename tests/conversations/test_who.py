"""Who: the nicks of the announced members of a room."""

import pytest

from tests.conversations.conftest import Address
from tests.conversations.peers import Plain, Rich, of


def test_who_lists_all_members_including_the_asker(address: Address) -> None:
    with (
        Rich(address, "ann", rooms=["r"]) as ann,
        Rich(address, "Bob", rooms=["r"]),
        Rich(address, "carl"),
    ):
        members = ann.ask("who", room="r")
        assert (members["type"], members["room"], members["count"]) == ("members", "r", 2)
        assert sorted(members["nicks"]) == ["Bob", "ann"]


def test_who_reflects_joins_leaves_and_renames(address: Address) -> None:
    with Rich(address, "ann", rooms=["r"]) as ann, Rich(address, "bob", rooms={}) as bob:
        assert ann.ask("who", room="r")["nicks"] == ["ann"]
        bob.ask("join", room="r")
        assert sorted(ann.ask("who", room="r")["nicks"]) == ["ann", "bob"]
        bob.ask("nick", nick="zoe")
        assert sorted(ann.ask("who", room="r")["nicks"]) == ["ann", "zoe"]
        bob.ask("leave", room="r")
        members = ann.ask("who", room="r")
        assert (members["nicks"], members["count"]) == (["ann"], 1)


def test_who_lists_a_plain_guest_after_its_first_message(address: Address) -> None:
    with Rich(address, "ann") as ann, Plain(address) as eve:
        eve.send(b"hello\0")
        (post,) = ann.posts(1)
        members = ann.ask("who", room="lobby")
        assert (sorted(members["nicks"]), members["count"]) == (["ann", post["author"]], 2)


def test_who_lists_a_dropped_client_while_its_nick_is_held(
    address: Address,
) -> None:
    with Rich(address, "ann") as ann, Rich(address, "bob") as bob, Rich(address, "carl") as carl:
        bob.shut()
        bob.rest()
        carl.tell("bye")
        carl.rest()
        members = ann.ask("who", room="lobby")
        assert (sorted(members["nicks"]), members["count"]) == (["ann", "bob"], 2)
        with Rich(address, client=bob.client) as again:
            members = again.ask("who", room="lobby")
            assert (sorted(members["nicks"]), members["count"]) == (["ann", "bob"], 2)


def test_the_count_in_joined_equals_the_count_of_who(address: Address) -> None:
    with Rich(address, "ann") as ann, Plain(address) as eve, Rich(address, "bob") as bob:
        bob.shut()
        bob.rest()
        eve.send(b"hello\0")
        ann.posts(1)
        with Rich(address, "carl") as carl:
            (joined,) = of("joined", carl.greeting)
            assert joined["count"] == ann.ask("who", room="lobby")["count"] == 4


@pytest.mark.parametrize(("room", "code"), [("elsewhere", "not_joined"), ("a b", "bad_room")])
def test_who_is_refused_to_those_outside_the_room(address: Address, room: str, code: str) -> None:
    with Rich(address, "ann") as ann, Rich(address, "bob", rooms=["elsewhere"]):
        error = ann.ask("who", room=room)
        assert (error["type"], error["code"]) == ("error", code)
