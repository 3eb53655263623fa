"""Nobody outside learns anything of a private room or a conversation, by whatever door."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from tests.conversations.chat import Chat, chatting
from tests.conversations.devices import code, private_room, registered, sign_in
from tests.conversations.operators import admin, operator
from tests.conversations.peers import Rich, of
from tests.conversations.test_admin import get
from tests.server.hub_harness import RecordingConsole

SECRET = "the very secret"


@pytest.fixture(params=["memory:", "sqlite:{}/chat.db"], ids=["memory by web", "sqlite by tcp"])
def chat(request: pytest.FixtureRequest, tmp_path: Path, options: dict[str, Any]) -> Iterator[Chat]:
    timeline = request.param.format(tmp_path)
    door = "web" if timeline == "memory:" else "tcp"
    with chatting(timeline, door=door, options={**options, "admin": "127.0.0.1:0"}) as chat:
        yield chat


def talk(chat: Chat) -> tuple[Rich, Rich, str, dict[str, Any]]:
    """Have Ann and Bob talk in private; return them, their conversation, and a cursor."""
    ann, bob = registered(chat, "Ann", "Bob")
    private_room(chat, "plans", ann, bob)
    ann.ask("topic", room="plans", topic=SECRET)
    ann.say("plans", SECRET)
    sent = ann.ask("direct", to="Bob", text=SECRET)
    epoch = ann.ask("join", room="plans")["epoch"]
    return ann, bob, sent["room"], {"epoch": epoch, "position": 0}


def outsiders(chat: Chat) -> list[Rich]:
    """Return a guest, an account and an operator who are in neither."""
    (eve,) = registered(chat, "Eve")
    return [chat.rich("Gus"), eve, operator(chat)]


def said(events: list[dict[str, Any]]) -> str:
    return json.dumps(events)


def test_nobody_else_joins_and_all_hear_the_same(chat: Chat) -> None:
    """An existing conversation, one that never was, and a private room are told alike."""
    *_, room, cursor = talk(chat)
    texts = set()
    for peer in outsiders(chat):
        for name in (room, "@AAAAAAAAAAAAAAAA", "plans"):
            for more in ({}, cursor):
                error = peer.ask("join", room=name, **more)
                assert (error["type"], error["code"], error["room"]) == ("error", "forbidden", name)
                texts.add(error["text"])
        assert SECRET not in said(peer.pong())
    assert len(texts) == 1


def test_nobody_else_resumes_it(chat: Chat) -> None:
    *_, room, cursor = talk(chat)
    (eve,) = registered(chat, "Eve")
    cursors = dict.fromkeys((room, "plans", "@AAAAAAAAAAAAAAAA"), cursor)
    guest = chat.rich("Gus", rooms=cursors)
    assert of("joined", guest.greeting) == []
    errors = {(each["code"], each["text"]) for each in of("error", guest.greeting)}
    assert [each for each, _ in errors] == ["forbidden"]
    phone = sign_in(chat, eve, rooms=cursors)
    assert [each["room"] for each in of("joined", phone.greeting)] == ["lobby"]
    left = {each["room"]: each["reason"] for each in of("left", phone.greeting)}
    assert left == dict.fromkeys(cursors, "elsewhere")
    assert SECRET not in said(phone.greeting + guest.greeting)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("history", {"limit": 500}),
        ("history", {"limit": 500, "before": 2}),
        ("who", {}),
        ("say", {"text": "hello", "key": "k"}),
        ("topic", {"topic": "mine"}),
        ("typing", {}),
        ("leave", {}),
        ("invite", {"nick": "Eve"}),
        ("remove", {"nick": "Bob"}),
        ("mute", {"nick": "Bob"}),
        ("moderator", {"nick": "Eve"}),
    ],
)
def test_no_request_reads_or_changes_it(chat: Chat, kind: str, fields: dict[str, Any]) -> None:
    *_, room, _ = talk(chat)
    for peer in outsiders(chat):
        for name in (room, "plans"):
            assert code(peer, kind, room=name, **fields) == "not_joined"


def test_nothing_of_it_is_found(chat: Chat) -> None:
    ann, *_, room, _ = talk(chat)
    while len(ann.ask("search", text="secret")["posts"]) < 2:
        gevent.sleep(0.05)
    for peer in outsiders(chat):
        assert peer.ask("search", text="secret")["posts"] == []
        for name in (room, "plans"):
            assert code(peer, "search", text="secret", room=name) == "not_joined"


def test_no_list_names_it(chat: Chat) -> None:
    """Neither while somebody is there, nor for its topic when nobody is, nor in a cursor."""
    ann, bob, *_ = talk(chat)
    guest, eve, olga = outsiders(chat)
    for peer in (guest, eve, olga, ann):
        assert [each["name"] for each in peer.ask("rooms")["rooms"]] == ["lobby"]
        assert peer.ask("rooms", prefix="pl")["rooms"] == []
    for name in ("attic", "zoo"):
        eve.ask("join", room=name)
        eve.ask("topic", room=name, topic="public")
        eve.ask("leave", room=name)
    for peer in (ann, bob):
        peer.socket.close()
        chat.wait_disconnected(peer)
    after: dict[str, str] = {}
    names: list[str] = []
    while True:
        page = eve.ask("rooms", limit=1, **after)
        names += [each["name"] for each in page["rooms"]]
        if "next" not in page:
            break
        after = {"after": page["next"]}
    assert names == ["lobby", "attic", "zoo"]


def test_figures_name_it_by_number(chat: Chat) -> None:
    *_, room, _ = talk(chat)
    status, top = get(chat, "/top")
    assert status == 200
    names = [each["room"] for each in json.loads(top)["rooms"]]
    assert sorted(names) == ["private room 1", "private room 2"]
    for page in (top, get(chat, "/metrics")[1]):
        assert "plans" not in page
        assert room not in page
        assert SECRET not in page


def test_operators_freeze_it_and_read_nothing(chat: Chat) -> None:
    ann, _, room, _ = talk(chat)
    olga = operator(chat)
    admin(olga, "freeze", "plans")
    assert code(ann, "say", room="plans", text="hello") == "forbidden"
    for name in ("plans", room):
        assert code(olga, "join", room=name) == "forbidden"
        assert code(olga, "history", room=name, limit=9) == "not_joined"
    assert SECRET not in said(olga.pong())


class Echo(RecordingConsole):
    """A console that records what it is told of messages."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[object] = []

    def message(self, room: str, author: str, text: str) -> None:
        self.shown.append((room, author, text))

    def private_message(self, number: int) -> None:
        self.shown.append(number)


def test_an_echo_of_messages_shows_numbers_and_no_texts(chat: Chat) -> None:
    echo = chat.server._hub.submissions._console = Echo()
    ann, *_ = talk(chat)
    ann.say("lobby", "in public")
    ann.hear(lambda event: event.get("text") == "in public")
    assert echo.shown == [1, 2, ("lobby", "Ann", "in public")]


def test_a_name_that_looks_like_a_conversation_is_no_room(chat: Chat) -> None:
    guest = chat.rich("Gus")
    for name in ("@", "@x", "@plans", "＠AAAAAAAAAAAAAAAA", "@" + "A" * 40):
        assert code(guest, "join", room=name) == "bad_room"
