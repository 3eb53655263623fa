"""Direct messages: to one nick, live, at most once, and never stored."""

import time

import pytest

from tests.conversations.chat import Chat, drop
from tests.conversations.conftest import BOTH_DOORS

pytestmark = BOTH_DOORS


def test_a_direct_message_reaches_only_its_recipient_and_is_answered_with_sent(
    stored_chat: Chat,
) -> None:
    """`sent` names the recipient; nobody else receives anything."""
    plain = stored_chat.plain()
    ann, bob, eve = stored_chat.rich_clients("Ann", "Bob", "Eve")
    sent = ann.ask("direct", to="bob", text="for you")
    assert sent == {"type": "sent", "id": sent["id"], "to": "Bob", "stored": False}
    direct = bob.event()
    assert abs(direct.pop("time") / 1000 - time.time()) < 60
    assert direct == {"type": "direct", "author": "Ann", "text": "for you"}
    assert eve.pong() == ann.pong() == []
    ann.say("lobby", "marker")
    assert plain.frame() == b"marker"


def test_a_direct_message_is_not_stored(stored_chat: Chat) -> None:
    ann, _ = stored_chat.rich_clients("Ann", "Bob")
    ann.ask("direct", to="Bob", text="for you")
    assert ann.ask("history", room="lobby", limit=500)["posts"] == []


def test_sender_and_recipient_need_no_room_in_common(chat: Chat) -> None:
    ann, bob = chat.rich("Ann", rooms=[]), chat.rich("Bob", rooms=["attic"])
    assert ann.ask("direct", to="Bob", text="for you")["type"] == "sent"
    assert bob.event()["text"] == "for you"


def test_direct_messages_arrive_in_the_order_sent(chat: Chat) -> None:
    ann, bob = chat.rich("Ann", rooms=[]), chat.rich("Bob", rooms=[])
    for number in range(50):
        ann.tell("direct", to="Bob", text=str(number))
    assert [bob.event()["text"] for _ in range(50)] == [str(number) for number in range(50)]


def test_a_client_may_write_to_itself(chat: Chat) -> None:
    ann = chat.rich("Ann")
    ann.tell("direct", to="Ann", text="do not forget")
    assert sorted(event["type"] for event in ann.pong()) == ["direct", "sent"]


@pytest.mark.parametrize("to", ["Nobody", "", "x" * 10_000, "lobby", "a b", "%", "' OR 1=1"])
def test_an_unknown_nick_is_no_such_nick(chat: Chat, to: str) -> None:
    ann = chat.rich("Ann")
    assert ann.ask("direct", to=to, text="hello?")["code"] == "no_such_nick"


def test_a_rich_guest_can_receive_direct_messages(chat: Chat) -> None:
    ann, guest = chat.rich("Ann"), chat.rich(rooms=[])
    assert ann.ask("direct", to=guest.nick, text="who are you?")["type"] == "sent"
    assert guest.event()["text"] == "who are you?"


def test_a_plain_guest_is_no_such_nick(chat: Chat) -> None:
    """A plain client could not distinguish it from a message in the lobby."""
    plain, ann = chat.plain(), chat.rich("Ann")
    plain.send(b"here I am\0")
    (post,) = ann.posts(1)
    assert ann.ask("direct", to=post["author"], text="for you")["code"] == "no_such_nick"
    ann.say("lobby", "marker")
    assert plain.frame() == b"marker"


def test_a_nick_that_is_held_but_away_is_no_such_nick(chat: Chat) -> None:
    ann, bob = chat.rich_clients("Ann", "Bob")
    drop(bob)
    chat.wait_disconnected(bob)
    assert ann.ask("direct", to="Bob", text="come back")["code"] == "no_such_nick"
    again = chat.rich(client=bob.client)
    assert again.nick == "Bob"
    assert ann.ask("direct", to="Bob", text="there you are")["type"] == "sent"
    assert again.event()["text"] == "there you are"


def test_a_direct_message_goes_to_the_current_owner_of_the_nick(chat: Chat) -> None:
    ann, bob, eve = (chat.rich(nick, rooms=[]) for nick in ("Ann", "Bob", "Eve"))
    bob.ask("nick", nick="Rob")
    assert ann.ask("direct", to="Bob", text="gone")["code"] == "no_such_nick"
    eve.ask("nick", nick="Bob")
    assert ann.ask("direct", to="Bob", text="to eve")["type"] == "sent"
    assert eve.event()["text"] == "to eve"
    assert bob.pong() == []
