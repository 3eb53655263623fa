"""Rooms can be found: those with members or a topic, the most members first, by the page."""

from pathlib import Path
from typing import Any

import gevent
import pytest

from geventchat.protocol import events, requests
from geventchat.server.session import room_list
from geventchat.server.session import session as session_module
from geventchat.server.session.session import Session
from tests.conversations.chat import Chat, chatting
from tests.conversations.conftest import Address
from tests.conversations.control import Control
from tests.conversations.operators import TOKEN
from tests.conversations.peers import Rich


def rooms(peer: Rich, **fields: Any) -> list[dict[str, Any]]:
    """Request all pages; return the rooms."""
    found: list[dict[str, Any]] = []
    page = peer.ask("rooms", **fields)
    while True:
        assert page["type"] == "rooms"
        found += page["rooms"]
        if "next" not in page:
            return found
        page = peer.ask("rooms", **{**fields, "after": page["next"]})


def names(peer: Rich, **fields: Any) -> list[str]:
    return [room["name"] for room in rooms(peer, **fields)]


def test_every_server_says_that_its_rooms_can_be_found(address: Address) -> None:
    with Rich(address) as ann:
        assert "rooms" in ann.welcome["features"]


def test_a_room_is_listed_with_its_members_topic_and_position(stored_chat: Chat) -> None:
    ann = stored_chat.rich("Ann", rooms=["tea", "bare"])
    stored_chat.rich("Bob", rooms=["tea"])
    ann.say("tea", "one")
    ann.say("tea", "two")
    ann.posts(2)
    assert ann.ask("topic", room="tea", topic="Darjeeling 🍵")["type"] == "topic"
    page = ann.ask("rooms")
    assert page["rooms"] == [
        {"name": "tea", "topic": "Darjeeling 🍵", "members": 2, "position": 2},
        {"name": "bare", "members": 1, "position": 0},
    ]
    assert "next" not in page


def test_who_asks_need_not_be_a_member_of_anything(chat: Chat) -> None:
    chat.rich("Ann", rooms=["tea"])
    assert names(chat.rich("Bob", rooms=[])) == ["tea"]


def test_a_room_with_a_topic_is_found_when_all_have_left_and_another_is_not(
    stored_chat: Chat,
) -> None:
    ann = stored_chat.rich("Ann", rooms=["tea", "bare"])
    ann.say("tea", "one")
    ann.ask("topic", room="tea", topic="Darjeeling")
    ann.say("bare", "one")
    for room in ("tea", "bare"):
        assert ann.ask("leave", room=room)["type"] == "left"
    assert rooms(ann) == [{"name": "tea", "topic": "Darjeeling", "members": 0, "position": 1}]
    ann.ask("join", room="tea")
    ann.ask("topic", room="tea", topic="")
    ann.ask("leave", room="tea")
    assert rooms(ann) == []


def test_rooms_are_found_after_a_restart(tmp_path: Path) -> None:
    timeline = f"sqlite:{tmp_path}/chat.db"
    with chatting(timeline) as chat:
        ann = chat.rich("Ann", rooms=["tea", "wine", "bare"])
        ann.say("wine", "one")
        for room in ("tea", "wine"):
            ann.ask("topic", room=room, topic=f"all about {room}")
    with chatting(timeline) as chat:
        bob = chat.rich("Bob", rooms=["wine", "new"])
        assert rooms(bob) == [
            {"name": "new", "members": 1, "position": 0},
            {"name": "wine", "topic": "all about wine", "members": 1, "position": 1},
            {"name": "tea", "topic": "all about tea", "members": 0, "position": 0},
        ]


def test_a_name_that_begins_with_a_dot_is_never_listed(stored_chat: Chat) -> None:
    """In whatever spelling: U+FF0E is a dot, too."""
    ann = stored_chat.rich("Ann", rooms=[".secret", "．hidden", "a.b"])
    for room in (".secret", ".hidden"):
        assert ann.ask("topic", room=room, topic="hush")["type"] == "topic"
    assert names(ann) == ["a.b"]
    assert names(ann, prefix=".") == names(ann, prefix=".secret") == []
    ann.ask("leave", room=".secret")
    assert names(ann) == ["a.b"]
    bob = stored_chat.rich("Bob", rooms=[])
    assert bob.ask("join", room=".secret")["topic"] == "hush"


def test_a_prefix_is_compared_as_names_are(stored_chat: Chat) -> None:
    ann = stored_chat.rich("Ann", rooms=["Tea", "teapot", "straße", "wine"])
    ann.ask("topic", room="teapot", topic="hot")
    ann.ask("leave", room="teapot")
    for prefix in ("tea", "TEA", "ＴＥＡ"):
        assert names(ann, prefix=prefix) == ["tea", "teapot"]
    assert names(ann, prefix="STRASS") == ["strasse"]
    assert names(ann, prefix="teapots") == []
    assert names(ann, prefix="") == names(ann)


def test_pages_meet_from_the_fullest_room_to_the_last_topic(stored_chat: Chat) -> None:
    ann = stored_chat.rich("Ann", rooms=[f"r{number}" for number in range(7)])
    stored_chat.rich("Bob", rooms=["r5", "r3"])
    stored_chat.rich("Eve", rooms=["r5"])
    for number in range(4):
        ann.ask("topic", room=f"r{number}", topic="t")
        ann.ask("leave", room=f"r{number}")
    expected = ["r5", "r3", "r4", "r6", "r0", "r1", "r2"]
    for limit in range(1, 9):
        assert names(ann, limit=limit) == expected
    assert len(ann.ask("rooms", limit=3)["rooms"]) == 3


def test_rooms_are_counted_as_joined_counts_them(chat: Chat) -> None:
    """A plain guest from its first message on, a lost client while its nick is held."""
    ann, bob = chat.rich_clients("Ann", "Bob")
    plain = chat.plain()
    bob.shut()
    bob.rest()
    plain.send(b"hello\0")
    ann.posts(1)
    (lobby,) = rooms(ann)
    assert lobby["members"] == ann.ask("join", room="lobby")["count"] == 3
    chat.advance_clock(61)
    ann.pong()
    assert [room["members"] for room in rooms(ann)] == [2]


@pytest.mark.parametrize("after", ["", "x", "kgGh", "é", "a" * 256, "gA=="])
def test_a_cursor_that_no_page_had_is_a_bad_field(chat: Chat, after: str) -> None:
    error = chat.rich("Ann").ask("rooms", after=after)
    assert (error["type"], error["code"]) == ("error", "bad_field")
    assert error["text"].startswith("after")


def test_a_frozen_room_is_listed_and_a_muted_client_may_look(options: dict[str, Any]) -> None:
    """It may be read: announcements are such rooms. A closed server shows its rooms to those in."""
    with chatting(options=options) as chat:
        olga, eve = chat.rich("Olga", token=TOKEN), chat.rich("Eve", rooms=["news"])
        for act in (
            {"action": "freeze", "target": "news"},
            {"action": "mute", "target": "Eve"},
            {"action": "close"},
        ):
            assert olga.ask("admin", **act)["type"] == "admin"
        assert names(eve) == ["lobby", "news"]
        chat.rich("Olaf", token=TOKEN, rooms=["news"])
        assert names(eve) == ["news", "lobby"]


def test_a_plain_client_cannot_ask(chat: Chat) -> None:
    ann, plain = chat.rich("Ann"), chat.plain()
    plain.send(b'{"type":"rooms"}\0')
    assert [post["text"] for post in ann.posts(1)] == ['{"type":"rooms"}']


def test_a_client_that_asks_for_one_page_is_answered_before_one_that_asks_for_many(
    stored_chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = stored_chat.rich("Ann", rooms=[f"r{number}" for number in range(20)])
    bob = stored_chat.rich("Bob", rooms=[])
    asked: list[str] = []
    page = room_list.page

    def observed(session: Session, request: requests.Rooms) -> events.RoomList:
        asked.append(session.nick)
        return page(session, request)

    monkeypatch.setattr(room_list, "page", observed)
    monkeypatch.setattr(session_module, "SLICE_SECONDS", 0)  # every request is a slice
    ann.send(b'{"type":"rooms"}\0' * 500)
    assert names(bob) == names(bob)
    assert asked.count("Bob") == 2
    assert asked.count("Ann") < 500
    ann.pong()
    assert asked.count("Ann") == 500


def test_a_storm_of_requests_leaves_others_unharmed(stored_chat: Chat) -> None:
    """From trusted networks, which have no rate limit: 20 clients ask for all at once."""
    askers = [stored_chat.rich(rooms=[]) for _ in range(20)]
    for number, asker in enumerate(askers):
        for room in range(20 * number, 20 * number + 20):
            asker.tell("join", room=f"r{room:03}")
            asker.tell("topic", room=f"r{room:03}", topic="t" * 100)
            if room % 2:
                asker.tell("leave", room=f"r{room:03}")
        asker.pong()
    last = askers[0].ask("rooms", limit=200)["next"]
    with Control(stored_chat.address):
        for asker in askers:
            for _ in range(10):
                asker.tell("rooms", limit=200)
                asker.tell("rooms", limit=200, after=last)
                asker.tell("rooms", limit=200, prefix="r39")
            asker.tell("bye")
        # One that is not read for too long is ended as slow.
        reading = [gevent.spawn(asker.rest) for asker in askers]
        gevent.joinall(reading, raise_error=True)
    assert [len(each.get()) for each in reading] == [31] * 20
