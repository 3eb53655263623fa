"""Rooms: opened for their first member, forgotten after their last; posts remain stored."""

from tests.conversations.chat import Chat, chatting
from tests.conversations.peers import texts


def test_any_number_of_rooms_may_be_opened_and_left() -> None:
    """Rooms without members do not count against the limit of rooms at a time."""
    with chatting(rooms=3) as chat:
        ann = chat.rich("Ann", rooms=[])
        for number in range(50):
            assert ann.ask("join", room=f"room-{number}")["type"] == "joined"
            assert ann.ask("leave", room=f"room-{number}")["type"] == "left"
        assert set(chat.server._hub.rooms) == set()


def test_over_the_room_limit_only_new_rooms_are_refused() -> None:
    """`too_many_rooms`, also at the limit of the server; the lobby always exists."""
    with chatting(rooms=3) as chat:
        ann = chat.rich("Ann", rooms=["one", "two", "three"])
        error = ann.ask("join", room="four")
        assert (error["type"], error["code"], error["room"]) == ("error", "too_many_rooms", "four")
        bob = chat.rich("Bob", rooms=["three"])
        assert bob.greeting[0]["type"] == "joined"
        assert bob.ask("join", room="lobby")["type"] == "joined"
        ann.ask("leave", room="one")
        bob.ask("leave", room="lobby")
        assert bob.ask("join", room="four")["type"] == "joined"


def test_a_room_can_be_left_and_joined_in_one_piece(stored_chat: Chat) -> None:
    """Posts that are being stored when a room empties are not lost for the next member."""
    ann = stored_chat.rich("Ann", rooms=["attic"])
    say = b'{"type":"say","room":"attic","text":"%d"}\0'
    leave = b'{"type":"leave","room":"attic"}\0'
    join = b'{"type":"join","room":"attic","id":"back"}\0'
    for number in range(20):
        ann.send(say % (2 * number) + say % (2 * number + 1) + leave + join)
        ann.hear(lambda event: event.get("id") == "back")
    posts = ann.ask("history", room="attic", limit=100)["posts"]
    assert texts(posts) == [str(number) for number in range(40)]
    assert [post["position"] for post in posts] == list(range(1, 41))
