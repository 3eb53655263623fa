"""Typing: sent to the others at once, never stored, not answered."""

from tests.conversations.chat import Chat
from tests.conversations.conftest import BOTH_DOORS

pytestmark = BOTH_DOORS


def test_typing_is_sent_to_the_others_at_once(chat: Chat) -> None:
    ann, bob = chat.rich_clients("Ann", "Bob")
    ann.tell("typing", room="lobby")
    assert bob.event() == {"type": "typing", "room": "lobby", "nick": "Ann"}
    assert ann.pong() == []


def test_plain_members_hear_nothing(chat: Chat) -> None:
    plain, ann = chat.plain(), chat.rich("Ann")
    ann.tell("typing", room="lobby")
    ann.say("lobby", "marker")
    assert plain.frame() == b"marker"


def test_a_post_comes_after_its_typing(chat: Chat) -> None:
    ann, bob = chat.rich_clients("Ann", "Bob")
    ann.tell("typing", room="lobby")
    ann.say("lobby", "there")
    assert [bob.event()["type"], bob.event()["type"]] == ["typing", "post"]


def test_only_members_may_send_typing(chat: Chat) -> None:
    ann, bob = chat.rich("Ann", rooms=["attic"]), chat.rich("Bob")
    assert bob.ask("typing", room="attic")["code"] == "not_joined"
    assert ann.pong() == []


def test_typing_is_not_sent_to_other_rooms(chat: Chat) -> None:
    ann, bob = chat.rich("Ann", rooms=["attic", "lobby"]), chat.rich("Bob")
    ann.pong()
    ann.tell("typing", room="attic")
    ann.pong()
    assert bob.pong() == []
