"""Rooms with names never used before: an address may start so many a day, and a server so many."""

from typing import Any

from geventchat.server.timeline.memory import MemoryTimeline
from tests.conversations.chat import Chat, chatting
from tests.conversations.peers import Rich

NOBODY = {"trust": ()}


def started(peer: Rich, room: str) -> bool:
    """Join a room and say something there; give whether that became its first post."""
    assert peer.ask("join", room=room)["type"] == "joined"
    peer.tell("say", room=room, text="hi", id=room)
    answer = peer.hear(
        lambda event: (
            event.get("id") == room or (event["type"], event.get("room")) == ("post", room)
        )
    )[-1]
    peer.ask("leave", room=room)
    if answer["type"] == "post":
        return True
    assert (answer["code"], answer["room"]) == ("too_many_rooms", room)
    return False


def visitor(chat: Chat, source: str) -> Rich:
    return chat.track(Rich(chat.address, rooms=[], source=source))


def quick(**limits: int) -> dict[str, Any]:
    """Return limits without throttling."""
    return {"messages_at_once": 1_000, "messages_per_second": 1_000, **limits}


def test_an_address_starts_200_new_rooms_a_day_and_then_none(timeline: str) -> None:
    with chatting(timeline, options=NOBODY, **quick()) as chat:
        ann = visitor(chat, "127.0.0.9")
        assert [started(ann, f"r{number}") for number in range(201)] == [True] * 200 + [False]


def test_the_limit_is_the_addresses_and_not_the_clients(timeline: str) -> None:
    with chatting(timeline, options=NOBODY, **quick(new_rooms_per_day=3)) as chat:
        ann, bob = visitor(chat, "127.0.0.9"), visitor(chat, "127.0.0.9")
        assert [started(ann, "a"), started(bob, "b"), started(ann, "c")] == [True] * 3
        assert not started(bob, "d")
        assert started(visitor(chat, "127.0.0.8"), "d")


def test_rooms_that_were_used_before_are_not_counted(timeline: str) -> None:
    """A room in which nothing was ever said is not stored, so it does not count either."""
    with chatting(timeline, options=NOBODY, **quick(new_rooms_per_day=2)) as chat:
        ann = visitor(chat, "127.0.0.9")
        for number in range(10):
            assert ann.ask("join", room=f"silent-{number}")["type"] == "joined"
            ann.ask("leave", room=f"silent-{number}")
        for room in ("a", "b", "a", "b", "lobby"):
            assert started(ann, room)
        assert ann.ask("join", room="c")["type"] == "joined"
        assert ann.ask("topic", room="c", topic="tea")["code"] == "too_many_rooms"
        assert started(ann, "a")


def test_trusted_networks_start_as_many_as_they_like(timeline: str) -> None:
    with chatting(timeline, new_rooms_per_day=2) as chat:
        ann = chat.rich("Ann", rooms=[])
        assert all(started(ann, f"r{number}") for number in range(10))


def test_a_memory_full_of_rooms_starts_no_more_and_keeps_those_that_are_there() -> None:
    with chatting(memory_bytes=1 << 16) as chat:
        ann = chat.rich("Ann", rooms=[])
        number = 0
        while started(ann, f"r{number}"):
            number += 1
            assert number < 200
        assert number > 20
        timeline = chat.server._timeline
        assert isinstance(timeline, MemoryTimeline)
        assert timeline.full
        assert {timeline.position(f"r{each}") for each in range(number)} == {1}
        assert started(ann, "r0")
        assert ann.ask("join", room="r0")["position"] == 2
        assert ann.ask("topic", room="r0", topic="tea")["code"] == "storage"
        assert not started(ann, "another")
