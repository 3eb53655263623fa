"""Topics: announced to the members of a room, and sent to those who join."""

from typing import Any

import gevent
import pytest
from gevent.event import Event

from geventchat.server.timeline import Batch, Submission
from geventchat.server.timeline.memory import MemoryTimeline
from tests.conversations.chat import Chat, chatting
from tests.conversations.peers import Rich, of


def test_the_setter_is_answered_and_the_others_hear_the_topic(stored_chat: Chat) -> None:
    """`topic` sets the topic of a room for all members, and names the setter."""
    ann, bob = stored_chat.rich_clients("Ann", "Bob")
    answer = ann.ask("topic", room="lobby", topic="tea\nand cake")
    changed = {"type": "topic", "room": "lobby", "topic": "tea\nand cake", "by": "Ann"}
    assert answer == changed | {"id": answer["id"]}
    assert bob.event() == changed
    assert ann.pong() == []


def test_plain_members_hear_nothing(chat: Chat) -> None:
    """A plain client receives message bodies alone."""
    plain, ann = chat.plain(), chat.rich("Ann")
    ann.ask("topic", room="lobby", topic="tea")
    ann.say("lobby", "marker")
    assert plain.frame() == b"marker"


def test_joined_contains_the_topic(stored_chat: Chat) -> None:
    ann = stored_chat.rich("Ann", rooms=["attic"])
    ann.ask("topic", room="attic", topic="dust")
    assert stored_chat.rich(rooms=["attic"]).greeting[0]["topic"] == "dust"


def test_an_empty_topic_clears_it(stored_chat: Chat) -> None:
    ann, bob = stored_chat.rich_clients("Ann", "Bob")
    ann.ask("topic", room="lobby", topic="tea")
    ann.ask("topic", room="lobby", topic="")
    assert [event["topic"] for event in (bob.event(), bob.event())] == ["tea", ""]
    assert "topic" not in stored_chat.rich().greeting[0]


def test_a_topic_survives_the_room_and_a_restart(timeline: str) -> None:
    """The topic is stored; in a file it survives the server too."""
    with chatting(timeline) as chat:
        ann = chat.rich("Ann", rooms=["attic"])
        ann.ask("topic", room="attic", topic="dust")
        ann.ask("leave", room="attic")
        assert ann.ask("join", room="attic")["topic"] == "dust"
    if timeline != "memory:":
        with chatting(timeline) as chat:
            assert chat.rich(rooms=["attic"]).greeting[0]["topic"] == "dust"


def test_a_topic_is_announced_even_if_its_setter_disconnects(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise members and later ones would have different topics."""
    ann, bob = chat.rich_clients("Ann", "Bob")
    timeline = chat.server._timeline
    assert isinstance(timeline, MemoryTimeline)
    store, asked, slow = timeline._store, Event(), Event()

    def store_late(submitted: list[Submission]) -> Batch:
        asked.set()
        with gevent.Timeout(20):
            slow.wait()
        return store(submitted)

    monkeypatch.setattr(timeline, "_store", store_late)
    ann.tell("topic", room="lobby", topic="tea")
    assert asked.wait(20)
    chat.rich("Ann", client=ann.client)
    assert ann.closing()[-1]["code"] == "replaced"
    slow.set()
    assert bob.event() == {"type": "topic", "room": "lobby", "topic": "tea", "by": "Ann"}
    assert chat.rich().greeting[0]["topic"] == "tea"


def test_only_members_may_set_the_topic(chat: Chat) -> None:
    ann, bob = chat.rich("Ann", rooms=["attic"]), chat.rich("Bob")
    error = bob.ask("topic", room="attic", topic="mine now")
    assert (error["type"], error["code"], error["room"]) == ("error", "not_joined", "attic")
    assert ann.pong() == []


def test_a_topic_uses_no_position(chat: Chat) -> None:
    ann = chat.rich("Ann")
    ann.say("lobby", "one")
    ann.posts(1)
    ann.ask("topic", room="lobby", topic="tea")
    ann.say("lobby", "two")
    assert [post["position"] for post in ann.posts(1)] == [2]


@pytest.mark.parametrize(("length", "type_"), [(500, "topic"), (501, "error")])
def test_a_topic_has_at_most_500_characters(chat: Chat, length: int, type_: str) -> None:
    ann = chat.rich("Ann")
    assert ann.ask("topic", room="lobby", topic="\U0001f600" * length)["type"] == type_


def answer(peer: Rich, request_id: str) -> dict[str, Any]:
    """Return the answer to an earlier request."""
    return peer.hear(lambda event: event.get("id") == request_id)[-1]


def test_all_members_agree_on_the_topic_when_several_are_set_at_once(stored_chat: Chat) -> None:
    """Each setter is answered under its own id, and nobody ends with another than the room has."""
    ann, bob, eve = stored_chat.rich_clients("Ann", "Bob", "Eve")
    for number in range(30):
        setters = [(peer, f"{peer.nick} {number}") for peer in (ann, bob)]
        for peer, topic in setters:
            peer.tell("topic", room="lobby", topic=topic, id=topic)
        known = {peer: answer(peer, topic) for peer, topic in setters}
        assert {each["type"] for each in known.values()} == {"topic"}
        for peer in (ann, bob, eve):
            if later := of("topic", peer.pong()):
                known[peer] = later[-1]
        real = eve.ask("join", room="lobby")["topic"]
        assert real in {topic for _, topic in setters}
        assert [each["topic"] for each in known.values()] == [real] * 3
