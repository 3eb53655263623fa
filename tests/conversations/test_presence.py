"""Presence: joins, leaves and renames, as announced to the others in the room."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conversations.chat import Chat, chatting, drop
from tests.conversations.peers import Plain, Rich, of

HOLD_SECONDS = 10


@pytest.fixture
def chat() -> Iterator[Chat]:
    """Return a server whose holds end before any client is pinged."""
    with chatting(nick_hold_seconds=HOLD_SECONDS) as chat:
        yield chat


def presences(peer: Rich) -> list[dict[str, Any]]:
    """Return the presence events so far without type and room; there must be no others."""
    events = peer.pong()
    assert {event.pop("type") for event in events} <= {"presence"}
    assert {event.pop("room") for event in events} <= {"lobby"}
    return events


def came(nick: str) -> dict[str, Any]:
    return {"nick": nick, "event": "join"}


def went(nick: str) -> dict[str, Any]:
    return {"nick": nick, "event": "leave"}


def test_joins_leaves_and_renames_are_announced(chat: Chat) -> None:
    """All members but the one that does it are notified."""
    ann, bob = chat.rich_clients("Ann", "Bob")
    eve = chat.rich("Eve", rooms=[])
    eve.ask("join", room="lobby")
    eve.ask("nick", nick="Eva")
    eve.ask("leave", room="lobby")
    announced = [came("Eve"), {"nick": "Eve", "event": "rename", "new_nick": "Eva"}, went("Eva")]
    assert presences(ann) == presences(bob) == announced
    assert eve.pong() == []


def test_presence_is_announced_only_in_the_rooms_of_the_client(chat: Chat) -> None:
    ann = chat.rich("Ann")
    bob = chat.rich("Bob", rooms=["attic"])
    bob.ask("nick", nick="Rob")
    bob.tell("bye")
    bob.closing()
    assert presences(ann) == []


def test_a_rename_is_announced_in_each_room(chat: Chat) -> None:
    ann = chat.rich("Ann", rooms=["attic", "cellar"])
    bob = chat.rich("Bob", rooms=["attic", "cellar", "garden"])
    ann.pong()
    bob.ask("nick", nick="Rob")
    rename = {"type": "presence", "nick": "Bob", "event": "rename", "new_nick": "Rob"}
    expected = [rename | {"room": "attic"}, rename | {"room": "cellar"}]
    assert sorted(ann.pong(), key=lambda event: str(event["room"])) == expected
    assert bob.pong() == []


def test_join_post_and_leave_are_announced_in_that_order(chat: Chat) -> None:
    ann, bob = chat.rich("Ann"), chat.rich("Bob")
    bob.say("lobby", "hello and goodbye")
    bob.tell("bye")
    bob.closing()
    join, post, leave = ann.pong()
    assert (join["event"], post["author"], leave["event"]) == ("join", "Bob", "leave")


def test_plain_members_hear_no_presence(chat: Chat) -> None:
    """A plain client receives message bodies alone."""
    plain = chat.plain()
    ann, bob = chat.rich_clients("Ann", "Bob")
    ann.ask("nick", nick="Anna")
    drop(bob)
    chat.wait_disconnected(bob)
    chat.advance_clock(HOLD_SECONDS)
    ann.say("lobby", "marker")
    assert plain.frame() == b"marker"


def test_after_a_bye_the_leave_is_announced_at_once(chat: Chat) -> None:
    ann, bob = chat.rich_clients("Ann", "Bob")
    bob.tell("bye")
    bob.closing()
    assert presences(ann) == [went("Bob")]


def test_after_a_drop_the_leave_is_announced_when_the_hold_ends(chat: Chat) -> None:
    """Until then it counts as present."""
    ann, bob = chat.rich_clients("Ann", "Bob")
    drop(bob)
    chat.wait_disconnected(bob)
    chat.advance_clock(HOLD_SECONDS - 1)
    assert presences(ann) == []
    members = ann.ask("who", room="lobby")
    assert (members["nicks"], members["count"]) == (["Ann", "Bob"], 2)
    chat.advance_clock(HOLD_SECONDS + 1)
    assert presences(ann) == [went("Bob")]
    members = ann.ask("who", room="lobby")
    assert (members["nicks"], members["count"]) == (["Ann"], 1)


def test_a_drop_is_not_announced_if_the_client_returns(chat: Chat) -> None:
    ann, bob = chat.rich_clients("Ann", "Bob")
    drop(bob)
    chat.wait_disconnected(bob)
    again = chat.rich(client=bob.client)
    assert again.nick == "Bob"
    chat.advance_clock(HOLD_SECONDS - 1)
    chat.advance_clock(HOLD_SECONDS + 1)
    assert [event for event in ann.pong() if event["type"] == "presence"] == []
    assert ann.ask("who", room="lobby")["count"] == 2


def test_each_drop_has_a_hold_of_its_own(chat: Chat) -> None:
    """The hold of a first drop does not end a later one."""
    ann, bob = chat.rich_clients("Ann", "Bob")
    for _ in range(3):
        drop(bob)
        chat.wait_disconnected(bob)
        bob = chat.rich(client=bob.client)
    drop(bob)
    chat.wait_disconnected(bob)
    chat.advance_clock(HOLD_SECONDS - 1)
    assert presences(ann) == []
    chat.advance_clock(HOLD_SECONDS + 1)
    assert presences(ann) == [went("Bob")]


def test_a_client_that_returns_without_a_room_has_left_it(chat: Chat) -> None:
    ann, bob = chat.rich_clients("Ann", "Bob")
    drop(bob)
    chat.wait_disconnected(bob)
    chat.rich(client=bob.client, rooms=[])
    assert presences(ann) == [went("Bob")]
    chat.advance_clock(HOLD_SECONDS + 1)
    assert presences(ann) == []


def test_a_client_that_returns_under_another_nick_is_renamed(chat: Chat) -> None:
    ann, bob = chat.rich_clients("Ann", "Bob")
    drop(bob)
    chat.wait_disconnected(bob)
    chat.rich("Rob", client=bob.client)
    assert presences(ann) == [{"nick": "Bob", "event": "rename", "new_nick": "Rob"}]
    assert ann.ask("who", room="lobby")["nicks"] == ["Ann", "Rob"]


def test_a_silent_plain_member_is_announced_after_a_second(chat: Chat) -> None:
    ann = chat.rich("Ann")
    plain = chat.plain()
    chat.advance_clock(0.5)
    assert presences(ann) == []
    assert ann.ask("who", room="lobby")["count"] == 1
    chat.advance_clock(1)
    (presence,) = presences(ann)
    assert presence["event"] == "join"
    assert presence["nick"] in ann.ask("who", room="lobby")["nicks"]
    plain.send(b"now I speak\0")
    assert ann.event()["type"] == "post"
    plain.send(b"q\0")
    plain.rest()
    assert presences(ann) == [went(presence["nick"])]


def test_a_plain_member_is_announced_before_its_first_message(chat: Chat) -> None:
    ann = chat.rich("Ann")
    plain = chat.plain()
    plain.send(b"hello\0again\0")
    presence, post, again = (ann.event() for _ in range(3))
    assert (presence["event"], presence["nick"]) == ("join", post["author"])
    assert (post["text"], again["text"]) == ("hello", "again")
    chat.advance_clock(1)
    assert presences(ann) == []


def test_a_short_silent_plain_visit_is_not_announced(chat: Chat) -> None:
    """A plain client that leaves silently within its first second is never announced."""
    ann = chat.rich("Ann")
    plain = chat.plain()
    plain.send(b"q\0")
    plain.rest()
    chat.advance_clock(1)
    assert presences(ann) == []


def test_a_plain_drop_is_announced_at_once(chat: Chat) -> None:
    """Its nick is not held: it could not return as the same client."""
    ann = chat.rich("Ann")
    plain = chat.plain()
    plain.send(b"hello\0")
    said = [ann.event(), ann.event()]  # in either order if it is on another node
    (presence,) = (each for each in said if each["type"] == "presence")
    drop(plain)
    leave = ann.event()
    assert leave == presence | {"event": "leave"}


def test_a_connection_is_a_guest_until_its_hello(chat: Chat) -> None:
    ann = chat.rich("Ann")
    caller = chat.plain()
    chat.advance_clock(1)
    (presence,) = presences(ann)
    caller.send(b'\x1e{"type":"hello","version":1,"client":"abcdefghijklmnop","nick":"Bob"}\0')
    caller.frames(2)
    chat.wait_delivered()
    assert presences(ann) == [went(presence["nick"]), came("Bob")]


def crowd(chat: Chat, count: int) -> list[Plain]:
    """Add that many plain members, and announce them."""
    peers = chat.plain_clients(count)
    chat.advance_clock(1)
    chat.wait_delivered()
    return peers


def leave(chat: Chat, peers: list[Plain], count: int) -> None:
    for peer in peers[:count]:
        peer.send(b"q\0")
        peer.rest()
    del peers[:count]


@pytest.mark.parametrize(("others", "crowded"), [(198, False), (200, True)])
def test_a_room_of_over_200_sends_only_its_count(chat: Chat, others: int, crowded: bool) -> None:
    """Above 200 members only their number is announced, at most once a second."""
    ann = chat.rich("Ann")
    crowd(chat, others)
    ann.pong()
    bob = chat.rich("Bob", rooms=[])
    chat.rich("Eve", rooms=[])
    bob.ask("join", room="lobby")
    bob.ask("nick", nick="Rob")
    bob.ask("leave", room="lobby")
    announced = presences(ann)
    if crowded:
        assert announced == []
        chat.advance_clock(0)
        assert presences(ann) == [{"count": others + 1}]
        chat.advance_clock(0)
        assert presences(ann) == []
    else:
        assert announced[0] == came("Bob")


def test_names_are_announced_again_below_150_members(chat: Chat) -> None:
    """Until there are fewer than 150 members, the room stays crowded."""
    ann = chat.rich("Ann")
    others = crowd(chat, 200)
    ann.pong()
    leave(chat, others, 51)
    assert presences(ann) == []
    chat.advance_clock(0)
    assert presences(ann) == [{"count": 150}]
    leave(chat, others, 1)
    assert [event["event"] for event in presences(ann)] == ["leave"]


def test_typing_is_not_sent_in_a_crowded_room(chat: Chat) -> None:
    ann, bob = chat.rich_clients("Ann", "Bob")
    crowd(chat, 199)
    ann.pong()
    bob.tell("typing", room="lobby")
    bob.say("lobby", "there")
    bob.posts(1)
    assert of("typing", ann.pong()) == []
