"""Private rooms whose newcomers see only what is said after they joined."""

from typing import Any

import gevent
import pytest

from tests.conversations.chat import Chat
from tests.conversations.devices import admit, code, private_room, registered, sign_in
from tests.conversations.peers import Rich, of, texts


def talk(peer: Rich, *said: str) -> None:
    for text in said:
        peer.say("plans", text)
    peer.posts(len(said))


def test_newcomers_see_what_was_said_before_unless_the_room_was_made_otherwise(
    stored_chat: Chat,
) -> None:
    ann, bob = registered(stored_chat, "Ann", "Bob")
    private_room(stored_chat, "plans", ann)
    talk(ann, "one", "two")
    admit("plans", ann, bob)
    assert texts(bob.pong()) == ["one", "two"]


def test_a_newcomer_sees_nothing_of_before(stored_chat: Chat) -> None:
    ann, bob = registered(stored_chat, "Ann", "Bob")
    private_room(stored_chat, "plans", ann, history="joined")
    talk(ann, "one", "two", "three")
    joined = admit("plans", ann, bob)
    assert (joined["position"], joined["oldest"]) == (3, 4)
    assert of("post", bob.pong()) == []
    talk(ann, "four")
    assert texts(bob.posts(1)) == ["four"]
    for fields in ({}, {"before": 4}, {"before": 2}):
        history = bob.ask("history", room="plans", limit=500, **fields)
        expected = ["four"] if not fields else []
        assert [post["text"] for post in history["posts"]] == expected
        assert history["complete"] is True
    assert [post["text"] for post in ann.ask("history", room="plans", limit=9)["posts"]] == [
        "one",
        "two",
        "three",
        "four",
    ]


@pytest.mark.parametrize("position", [0, 1, 2])
def test_nothing_of_before_is_resumed(stored_chat: Chat, position: int) -> None:
    """A cursor from below is not recovered, and brings only what the client may see."""
    ann, bob = registered(stored_chat, "Ann", "Bob")
    private_room(stored_chat, "plans", ann, history="joined")
    talk(ann, "one", "two", "three")
    epoch = admit("plans", ann, bob)["epoch"]
    talk(ann, "four", "five")
    cursors = {"plans": {"epoch": epoch, "position": position}}
    phone = sign_in(stored_chat, bob, rooms=cursors)
    (joined,) = [each for each in of("joined", phone.greeting) if each["room"] == "plans"]
    assert (joined["recovered"], joined["oldest"]) == (False, 4)
    assert texts(phone.greeting) == ["four", "five"]
    phone.ask("leave", room="lobby")
    tablet = sign_in(stored_chat, bob, rooms={"plans": {"epoch": epoch, "position": 3}})
    (joined,) = of("joined", tablet.greeting)
    assert joined["recovered"] is True
    assert texts(tablet.greeting) == ["four", "five"]


def test_who_comes_back_sees_only_what_is_said_from_then_on(stored_chat: Chat) -> None:
    ann, bob = registered(stored_chat, "Ann", "Bob")
    private_room(stored_chat, "plans", ann, bob, history="joined")
    talk(ann, "one")
    bob.ask("leave", room="plans")
    talk(ann, "while he was away")
    joined: dict[str, Any] = admit("plans", ann, bob)
    assert joined["oldest"] == 3
    talk(ann, "three")
    assert texts(bob.posts(1)) == ["three"]


def test_nothing_of_before_is_found(stored_chat: Chat) -> None:
    ann, bob = registered(stored_chat, "Ann", "Bob")
    private_room(stored_chat, "plans", ann, history="joined")
    talk(ann, "green one", "green two")
    admit("plans", ann, bob)
    talk(ann, "green three")
    while len(ann.ask("search", text="green")["posts"]) < 3:
        gevent.sleep(0.05)
    for fields in ({}, {"room": "plans"}):
        found = bob.ask("search", text="green", **fields)["posts"]
        assert [post["text"] for post in found] == ["green three"]


def test_who_made_the_room_sees_all_of_it(stored_chat: Chat) -> None:
    (ann,) = registered(stored_chat, "Ann")
    private_room(stored_chat, "plans", ann, history="joined")
    talk(ann, "one", "two")
    phone = sign_in(stored_chat, ann)
    assert texts(phone.greeting) == ["one", "two"]


def test_changes_of_what_was_said_before_are_not_for_a_newcomer(stored_chat: Chat) -> None:
    """Neither live, nor when it resumes, nor may it make one."""
    ann, bob = registered(stored_chat, "Ann", "Bob")
    private_room(stored_chat, "plans", ann, history="joined")
    talk(ann, "one", "two", "three")
    epoch = admit("plans", ann, bob)["epoch"]
    talk(ann, "four")
    bob.posts(1)
    assert ann.ask("edit", room="plans", position=2, text="II")["type"] == "edited"
    assert ann.ask("redact", room="plans", position=1)["type"] == "redacted"
    assert ann.ask("edit", room="plans", position=4, text="IV")["type"] == "edited"
    (edited,) = bob.hear(lambda event: event["type"] in ("edited", "redacted"))
    assert (edited["position"], edited["text"]) == (4, "IV")
    phone = sign_in(stored_chat, bob, rooms={"plans": {"epoch": epoch, "position": 4, "change": 0}})
    changes = of("edited", phone.greeting) + of("redacted", phone.greeting)
    assert [change["position"] for change in changes] == [4]
    ann.ask("moderator", room="plans", nick="Bob")
    for kind in ("edit", "redact"):
        assert code(bob, kind, room="plans", position=2, text="mine") == "no_such_post"


@pytest.mark.parametrize("place", ["before", "after", "around"])
@pytest.mark.parametrize("position", [0, 1, 2, 3, 4, 5, 9])
def test_no_page_has_what_was_said_before(chat: Chat, place: str, position: int) -> None:
    ann, bob = registered(chat, "Ann", "Bob")
    private_room(chat, "plans", ann, history="joined")
    talk(ann, "one", "two", "three")
    admit("plans", ann, bob)
    talk(ann, "four", "five")
    for limit in (1, 2, 9):
        page = bob.ask("history", room="plans", limit=limit, **{place: position})
        assert all(post["position"] > 3 for post in page["posts"]), page
        if page["posts"]:
            assert page["complete"] is (page["posts"][0]["position"] == 4)
