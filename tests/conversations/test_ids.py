"""Ids: the direct answer to a request carries the id of the request, and nothing else does."""

from typing import Any

import pytest

from tests.conversations.chat import Chat

ANSWERS: dict[str, tuple[dict[str, Any], str]] = {
    "join": ({"type": "join", "room": "attic"}, "joined"),
    "join again": ({"type": "join", "room": "lobby"}, "joined"),
    "leave": ({"type": "leave", "room": "lobby"}, "left"),
    "nick": ({"type": "nick", "nick": "Anna"}, "renamed"),
    "who": ({"type": "who", "room": "lobby"}, "members"),
    "history": ({"type": "history", "room": "lobby", "limit": 1}, "history"),
    "direct": ({"type": "direct", "to": "Ann", "text": "hello"}, "sent"),
    "topic": ({"type": "topic", "room": "lobby", "topic": "tea"}, "topic"),
    "ping": ({"type": "ping"}, "pong"),
    "bye": ({"type": "bye"}, "bye"),
    "a say repeated": ({"type": "say", "room": "lobby", "text": "one", "key": "k"}, "sent"),
    "a key in use": ({"type": "say", "room": "lobby", "text": "two", "key": "k"}, "error"),
    "a rule said no": ({"type": "say", "room": "attic", "text": "one"}, "error"),
    "a bad field": ({"type": "say", "room": 5}, "error"),
    "an unknown type": ({"type": "nonsense"}, "error"),
    "another hello": ({"type": "hello", "version": 1, "client": "abcdefghijklmnop"}, "error"),
}


@pytest.mark.parametrize(("request_", "type_"), ANSWERS.values(), ids=ANSWERS)
def test_the_answer_carries_the_id(stored_chat: Chat, request_: dict[str, Any], type_: str) -> None:
    """Of 1 to 64 characters."""
    ann = stored_chat.rich("Ann")
    ann.say("lobby", "one", key="k")
    ann.posts(1)
    fields = {name: value for name, value in request_.items() if name != "type"}
    ann.tell(request_["type"], **fields, id="i" * 64)
    answer = ann.event()
    while answer["type"] != type_:
        assert "id" not in answer
        answer = ann.event()
    assert answer["id"] == "i" * 64


def test_posts_carry_no_id(chat: Chat) -> None:
    """They are sent to all members: their author recognises them by the key."""
    ann, bob = chat.rich_clients("Ann", "Bob")
    ann.tell("say", room="lobby", text="one", id="1", key="k")
    for peer in (ann, bob):
        (post,) = peer.posts(1)
        assert "id" not in post


def test_events_sent_to_others_carry_no_id(chat: Chat) -> None:
    ann, bob = chat.rich_clients("Ann", "Bob")
    ann.ask("topic", room="lobby", topic="tea")
    ann.ask("nick", nick="Anna")
    ann.ask("direct", to="Bob", text="hello")
    ann.ask("leave", room="lobby")
    events = bob.pong()
    assert [event["type"] for event in events] == ["topic", "presence", "direct", "presence"]
    assert not any("id" in event for event in events)


def test_answers_come_in_the_order_of_the_requests(chat: Chat) -> None:
    """For requests that are answered without storage."""
    ann = chat.rich("Ann")
    for number in range(100):
        ann.tell(("ping", "who", "nonsense")[number % 3], room="lobby", id=str(number))
    assert [ann.event()["id"] for _ in range(100)] == [str(number) for number in range(100)]
