"""Storms of redactions, edits and searches: limits hold, others talk, and all see the same."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import gevent
import pytest

from geventchat.server.search.indexed import _MOST_WAITING, IndexedSearch
from tests.conversations.chat import Chat, chatting
from tests.conversations.devices import private_room, registered
from tests.conversations.nodes import beside
from tests.conversations.operators import TOKEN, operator
from tests.conversations.peers import Rich, encode, of, texts
from tests.conversations.test_search import until

STORM: Final = 400
AT_ONCE: Final = 200
"""Requests of a storm that may come before a message that was sent with its first."""
IN_BETWEEN: Final = "in between"
SEARCH: Final = encode({"type": "search", "text": "green"})


class Scene(NamedTuple):
    room: str
    stormer: Rich
    other: Rich
    """Who says something meanwhile."""
    late: Rich
    """Who is away meanwhile."""


def author(chat: Chat) -> Scene:
    """Of what they said themselves."""
    ann, bob, late = chat.rich_clients("Ann", "Bob", "Cid")
    said(ann, "lobby")
    return Scene("lobby", ann, bob, late)


def of_operator(chat: Chat) -> Scene:
    """Of what others said."""
    bob, late, olga = chat.rich("Bob"), chat.rich("Cid"), operator(chat)
    said(bob, "lobby")
    return Scene("lobby", olga, bob, late)


def moderator(chat: Chat) -> Scene:
    """Of what the members of a private room said."""
    ann, bob, late = registered(chat, "Ann", "Bob", "Cid")
    private_room(chat, "plans", ann, bob, late)
    said(bob, "plans")
    return Scene("plans", ann, bob, late)


def said(peer: Rich, room: str, count: int = STORM) -> None:
    """Have somebody say much."""
    peer.send(say(room, *(f"text {number}" for number in range(count))))
    peer.posts(count, room)


def say(room: str, *words: str) -> bytes:
    return b"".join(encode({"type": "say", "room": room, "text": text}) for text in words)


def each(kind: str, room: str, count: int = STORM, **fields: Any) -> bytes:
    """Return a request about each of the first posts of a room."""
    requests = (
        {"type": kind, "id": f"{at}", "room": room, "position": at, **fields}
        for at in range(1, count + 1)
    )
    return b"".join(map(encode, requests))


def leave(peer: Rich, room: str) -> dict[str, Any]:
    """Lose the connection of a client; return its cursors."""
    joined = peer.ask("join", room=room)
    peer.socket.close()
    return {
        room: {name: joined[name] for name in ("epoch", "position", "change") if name in joined}
    }


def come_back(chat: Chat, former: Rich, cursors: dict[str, Any]) -> Rich:
    """Connect a client again, which recovers what it missed."""
    hello: dict[str, Any] = {"client": former.client, "rooms": cursors}
    if "session" in former.welcome:
        hello["account"] = {"session": former.welcome["session"]}
    peer = chat.rich(**hello)
    recovered = {event["room"]: event["recovered"] for event in of("joined", peer.greeting)}
    assert all(recovered[room] is True for room in cursors)
    return peer


def heard_once(redacted: list[dict[str, Any]]) -> list[int]:
    """Return the positions of redacted posts, whose changes are all different."""
    assert len({event["change"] for event in redacted}) == len(redacted)
    return [event["position"] for event in redacted]


@pytest.fixture
def chat(timeline: str, options: dict[str, Any]) -> Iterator[Chat]:
    with chatting(timeline, options={**options, "search": "off"}) as chat:
        yield chat


@pytest.mark.parametrize("scene", [author, of_operator, moderator])
def test_a_storm_of_redactions_lets_others_speak_and_leaves_all_with_the_same(
    chat: Chat, scene: Any
) -> None:
    room, stormer, other, late = scene(chat)
    cursor = leave(late, room)
    other.pong()
    stormer.send(each("redact", room))
    other.say(room, IN_BETWEEN)
    heard = other.hear(lambda event: event.get("text") == IN_BETWEEN)
    assert len(of("redacted", heard)) < AT_ONCE
    heard += other.hear(lambda event: event.get("change") == STORM)
    assert heard_once(of("redacted", heard)) == list(range(1, STORM + 1))
    answered = stormer.hear(lambda event: event.get("id") == str(STORM))
    assert [event["id"] for event in of("redacted", answered)] == [
        str(number) for number in range(1, STORM + 1)
    ]
    late = come_back(chat, late, cursor)
    caught_up = late.greeting
    assert sorted(heard_once(of("redacted", caught_up))) == list(range(1, STORM + 1))
    assert texts(caught_up) == [IN_BETWEEN]
    for peer in (stormer, other, late):
        assert texts(peer.ask("history", room=room, limit=500)["posts"]) == [""] * STORM + [
            IN_BETWEEN
        ]


def test_a_storm_of_edits_lets_others_speak_and_leaves_all_with_the_same(chat: Chat) -> None:
    ann, bob, late = chat.rich_clients("Ann", "Bob", "Cid")
    plain = chat.plain()
    posts, rounds = 10, STORM // 10
    said(ann, "lobby", posts)
    cursor = leave(late, "lobby")
    bob.pong()
    ann.send(b"".join(each("edit", "lobby", posts, text=f"round {n}") for n in range(rounds)))
    bob.say("lobby", IN_BETWEEN)
    heard = bob.hear(lambda event: event.get("text") == IN_BETWEEN)
    assert len(of("edited", heard)) < AT_ONCE
    heard += bob.hear(lambda event: event.get("change") == STORM)
    edited = of("edited", heard)
    changes = [event["change"] for event in edited]
    assert changes == sorted(set(changes))
    shown = {event["position"]: event["text"] for event in edited}
    last = [f"round {rounds - 1}"] * posts
    assert [shown[position] for position in range(1, posts + 1)] == last
    answers = of("edited", ann.hear(lambda event: event.get("change") == STORM))
    assert [event["change"] for event in answers] == list(range(1, STORM + 1))
    late = come_back(chat, late, cursor)
    assert [event["text"] for event in of("edited", late.greeting)] == last
    for peer in (ann, bob, late):
        found = peer.ask("history", room="lobby", limit=500)["posts"]
        assert texts(found) == [*last, IN_BETWEEN]
    assert plain.until(IN_BETWEEN.encode()) == [f"text {n}".encode() for n in range(posts)]


@pytest.fixture
def strict(tmp_path: Path, options: dict[str, Any]) -> Iterator[Chat]:
    """Return a server where a stranger may send ten messages at once, and then one a second."""
    options = {**options, "trust": ("127.0.0.1/32",)}
    limits: dict[str, Any] = {"messages_per_second": 1, "messages_at_once": 10}
    with chatting(f"sqlite:{tmp_path}/chat.db", options=options, **limits) as chat:
        yield chat


def stranger(chat: Chat, *args: Any, **options: Any) -> Rich:
    return chat.track(Rich(chat.address, *args, source="127.0.0.9", **options))


def wait_throttled(chat: Chat) -> None:
    with gevent.Timeout(20):
        while not any(node._admission.counts["pauses"] for node in beside(chat.server)):
            gevent.sleep(0.001)


@pytest.mark.parametrize("kind", ["redact", "edit"])
def test_a_stranger_changes_posts_at_the_rate_limit(strict: Chat, kind: str) -> None:
    """Of which each redaction takes two messages; the rest of the storm waits."""
    bob = strict.rich("Bob")
    said(bob, "lobby", 50)
    if kind == "redact":
        stranger(strict, "Eve", token=TOKEN).send(each("redact", "lobby", 50))
    else:
        eve = stranger(strict, "Eve")
        eve.say("lobby", "text")
        eve.hear(lambda event: event.get("text") == "text")
        edit = {"type": "edit", "room": "lobby", "position": 51}
        eve.send(b"".join(encode({**edit, "text": str(n)}) for n in range(50)))
    wait_throttled(strict)
    bob.say("lobby", IN_BETWEEN)
    heard = bob.hear(lambda event: event.get("text") == IN_BETWEEN)
    changes = [event for event in heard if event["type"] in ("redacted", "edited")]
    assert 1 <= len(changes) <= (5 if kind == "redact" else 10)


@pytest.fixture
def found(strict: Chat) -> Rich:
    """Return Bob, whose words are in the index."""
    bob = strict.rich("Bob")
    bob.say("lobby", "green tea")
    bob.posts(1)
    until(bob, "green", [("lobby", 1)])
    return bob


def test_a_stranger_searches_at_the_rate_limit(
    strict: Chat, found: Rich, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of which each search takes three messages."""
    searches: list[Any] = []
    for node in beside(strict.server):
        index = node._hub.search
        assert index is not None

        def count(query: Any, *args: Any, find: Any = index.find, **options: Any) -> Any:
            searches.append(query)
            return find(query, *args, **options)

        monkeypatch.setattr(index, "find", count)
    eve = stranger(strict, "Eve")
    eve.send(SEARCH * 50)
    wait_throttled(strict)
    found.say("lobby", IN_BETWEEN)
    found.hear(lambda event: event.get("text") == IN_BETWEEN)
    assert 1 <= len(searches) <= 4


def test_searches_of_one_client_take_one_place_and_of_many_are_refused(
    strict: Chat, found: Rich
) -> None:
    """While the index is busy, everybody talks, and one more may search if only one floods."""
    index = strict.server._hub.search
    assert isinstance(index, IndexedSearch)
    os.kill(index._searching._pid, signal.SIGSTOP)
    try:
        eve = strict.rich("Eve")
        eve.send(SEARCH * 200)
        wait_searching(index, 1)
        crowd = [strict.rich() for _ in range(_MOST_WAITING - 1)]
        for peer in crowd:
            peer.send(SEARCH)
        wait_searching(index, _MOST_WAITING)
        for _ in range(8):
            refused = strict.rich().ask("search", text="green")
            assert (refused["code"], refused["retry_ms"]) == ("slow_down", 1_000)
        said(found, "lobby", 20)
    finally:
        os.kill(index._searching._pid, signal.SIGCONT)
    for peer in crowd:
        assert peer.hear(lambda event: event["type"] == "found")[-1]["posts"]
    for _ in range(200):
        assert eve.hear(lambda event: event["type"] in ("found", "error"))[-1]["posts"]
    assert found.ask("search", text="green")["posts"]


def wait_searching(index: IndexedSearch, count: int) -> None:
    """Wait until so many searches wait for the index."""
    with gevent.Timeout(20):
        while index._waiting < count:
            gevent.sleep(0.001)
    assert index._waiting == count
