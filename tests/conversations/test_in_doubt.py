"""When it is not known whether something was stored, its author reconnects and loses nothing."""

import json
from collections.abc import Callable
from typing import Any

import gevent
import pytest

from geventchat.client.connection import Connection
from geventchat.protocol.events import Post, Sent
from geventchat.server.timeline import Batch, Submission
from geventchat.server.timeline.memory import MemoryTimeline
from tests.conversations.chat import Chat
from tests.conversations.hooks import hook, post
from tests.conversations.peers import of
from tests.conversations.web import web_chatting

LINE = b"* geventchat: It is not known whether your last messages were stored."
StoreUnknown = Callable[..., None]


@pytest.fixture
def lose(monkeypatch: pytest.MonkeyPatch) -> StoreUnknown:
    """Return a function that loses the outcome of the next turn, whether it is stored or not."""

    def start(chat: Chat, *, stored: bool) -> None:
        timeline = chat.server._timeline
        assert isinstance(timeline, MemoryTimeline)
        store = timeline._store

        def once(submitted: list[Submission]) -> Batch:
            monkeypatch.setattr(timeline, "_store", store)
            found = store(submitted) if stored else Batch()
            others = [(entry, 0) for entry, _ in found.entries]
            return Batch(entries=others, unknown=[each.number for each in submitted])

        monkeypatch.setattr(timeline, "_store", once)

    return start


@pytest.mark.parametrize("stored", [True, False])
def test_a_rich_client_comes_back_and_its_message_is_there_once(
    chat: Chat, lose: StoreUnknown, stored: bool
) -> None:
    ann, bob = chat.rich_clients("Ann", "Bob")
    joined = of("joined", ann.greeting)[0]
    lose(chat, stored=stored)
    ann.say("lobby", "hi", "k")
    ann.say("lobby", "all", "l")  # may be in the same turn
    bye = ann.closing()[-1]
    assert (bye["type"], bye["code"], bye["reconnect"]) == ("bye", "storage", True)
    assert bye["after_ms"] > 0
    cursor = {"lobby": {"epoch": joined["epoch"], "position": joined["position"]}}
    again = chat.rich("Ann", client=ann.client, rooms=cursor)
    assert again.nick == "Ann"
    for text, key in (("hi", "k"), ("all", "l")):
        again.say("lobby", text, key)
    chat.rich("Eve").say("lobby", "end")
    assert [post["text"] for post in bob.posts(3)] == ["hi", "all", "end"]


def test_a_plain_client_is_told_so_and_closed(chat: Chat, lose: StoreUnknown) -> None:
    bob, ann = chat.plain_clients(2)
    lose(chat, stored=False)
    ann.send(b"hi\0")
    (line,) = ann.rest()
    assert line.startswith(LINE)
    chat.rich("Eve").say("lobby", "end")
    assert bob.frame() == b"end"
    assert chat.server._hub.submissions.unknown == 1


def test_a_webhook_is_answered_503(lose: StoreUnknown, options: dict[str, Any]) -> None:
    with web_chatting(options=options) as web:
        token = hook(web)
        lose(web, stored=False)
        answer = post(web, token, "green")
        assert (answer.status, "may not have been stored" in answer.text) == (503, True)
        assert post(web, token, "green").status == 200


@pytest.mark.parametrize("stored", [True, False])
def test_the_library_sends_again_what_is_in_doubt(
    chat: Chat, lose: StoreUnknown, stored: bool
) -> None:
    bob = chat.rich("Bob")
    with Connection(*chat.address, nick="Ann") as ann, gevent.Timeout(20):
        lose(chat, stored=stored)
        for text in ("hi", "all"):
            ann.send("lobby", text)
        heard = [event.text for event in texts(ann, 2)]
    bob.tell("say", room="lobby", text="end")
    assert heard == [post["text"] for post in bob.posts(3)][:2] == ["hi", "all"]


def texts(connection: Connection, number: int) -> list[Post]:
    """Return the next posts, each once however often they are told."""
    posts: list[Post] = []
    for event in connection:
        assert not isinstance(event, Sent)
        if isinstance(event, Post):
            posts.append(event)
            if len(posts) == number:
                break
    return posts


def test_what_failed_behind_a_message_in_doubt_is_sent_again_with_it(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = chat.rich_clients("Ann", "Bob")
    timeline = chat.server._timeline
    assert isinstance(timeline, MemoryTimeline)

    def lose_first(submitted: list[Submission]) -> Batch:
        numbers = {each.text: each.number for each in submitted}
        return Batch(unknown=[numbers["one"]], failed=[numbers["two"], numbers["other"]])

    says = [{"type": "say", "room": "lobby", "text": text, "key": text} for text in ("one", "two")]
    append, held = timeline.append, list[Submission]()
    monkeypatch.setattr(timeline, "append", held.append)
    ann.send(b"".join(json.dumps(say).encode() + b"\0" for say in says))
    bob.say("lobby", "other", "other")
    with gevent.Timeout(20):
        while len(held) < 3:
            gevent.sleep(0.001)
    monkeypatch.setattr(timeline, "_store", lose_first)
    for each in held:
        append(each)
    assert [event["type"] for event in ann.closing()] == ["bye"]  # and no error
    (error,) = of("error", bob.pong())
    assert (error["code"], error["key"]) == ("storage", "other")


def test_an_author_in_doubt_submits_nothing_more(chat: Chat, lose: StoreUnknown) -> None:
    """Else a later message could come before the one that is sent again."""
    ann = chat.rich("Ann")
    lose(chat, stored=False)
    says = [{"type": "say", "room": "lobby", "text": str(n), "key": str(n)} for n in range(40)]
    ann.send(b"".join(json.dumps(say).encode() + b"\0" for say in says))
    assert of("post", ann.closing()) == []
    assert chat.server._timeline.position("lobby") == 0
