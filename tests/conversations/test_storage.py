"""Storage errors: the client gets an error, and nothing is left half done.

The errors are real: the file is locked, or SQLite has a limit on pages.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest

from geventchat.protocol.errors import Refused
from geventchat.server.timeline.recent import RecentPosts
from geventchat.server.timeline.sqlite import SqliteTimeline, schema
from tests.conversations.chat import Chat, chatting
from tests.conversations.peers import encode, texts
from tests.conversations.signed_in import registered


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Chat]:
    """A server without a cache: all reads come from the disk."""
    with chatting(f"sqlite:{tmp_path}/chat.db") as chat:
        record(chat)._recent = RecentPosts(0)
        yield chat


def record(chat: Chat) -> SqliteTimeline:
    timeline = chat.server._timeline
    assert isinstance(timeline, SqliteTimeline)
    return timeline


@contextmanager
def unwritable(chat: Chat) -> Iterator[None]:
    """Lock the file from another program, with a short timeout in the server."""
    store = record(chat)._store
    assert store.db is not None
    store.db.execute("PRAGMA busy_timeout = 10")
    with (
        patch.object(schema, "LOCKED_SECONDS", 0.01),
        closing(sqlite3.connect(store._path, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def unreadable(chat: Chat) -> Iterator[None]:
    db = record(chat)._reader._db
    db.set_authorizer(lambda *_: sqlite3.SQLITE_DENY)
    yield
    db.set_authorizer(None)


def test_a_message_that_cannot_be_stored_is_not_delivered_and_uses_no_position(chat: Chat) -> None:
    """`storage`: it was not stored, and repeating it with the same key stores it once."""
    ann, bob = chat.rich_clients("Ann", "Bob")
    ann.say("lobby", "one")
    ann.posts(1)
    with unwritable(chat):
        ann.say("lobby", "two", key="k2")
        error = ann.event()
    assert (error["type"], error["code"]) == ("error", "storage")
    assert (error["room"], error["key"]) == ("lobby", "k2")
    ann.say("lobby", "two", key="k2")
    (own,) = ann.posts(1)
    assert (own["position"], own["key"]) == (2, "k2")
    assert texts(bob.posts(2)) == ["one", "two"]


def test_a_batch_that_fails_fails_as_a_whole(chat: Chat) -> None:
    ann = chat.rich("Ann")
    says = [{"type": "say", "room": "lobby", "text": key, "key": key} for key in "abcdefgh"]
    with unwritable(chat):
        ann.send(b"".join(map(encode, says)))
        errors = [ann.event() for _ in says]
    assert [(error["code"], error["key"]) for error in errors] == [
        ("storage", key) for key in "abcdefgh"
    ]
    ann.send(b"".join(map(encode, says)))
    assert [post["position"] for post in ann.posts(8)] == list(range(1, 9))


def test_a_plain_client_whose_message_cannot_be_stored_gets_a_line(chat: Chat) -> None:
    one, other = chat.plain_clients(2)
    with unwritable(chat):
        one.send(b"lost\0")
        assert one.frame().startswith(b"* geventchat: ")
    one.send(b"found\0")
    assert other.frame() == b"found"


def test_a_topic_that_cannot_be_stored_is_not_set(chat: Chat) -> None:
    ann, bob = chat.rich_clients("Ann", "Bob")
    with unwritable(chat):
        assert ann.ask("topic", room="lobby", topic="tea")["code"] == "storage"
    assert bob.pong() == []
    assert "topic" not in ann.ask("join", room="lobby")


def test_a_history_that_cannot_be_read_is_an_error(chat: Chat) -> None:
    ann = chat.rich("Ann")
    ann.say("lobby", "one")
    ann.posts(1)
    with unreadable(chat):
        assert ann.ask("history", room="lobby", limit=5)["code"] == "storage"
    assert texts(ann.ask("history", room="lobby", limit=5)["posts"]) == ["one"]


def test_a_join_whose_history_cannot_be_read_fails(chat: Chat) -> None:
    """The client is not a member then; when it joins again it receives everything."""
    ann, bob = chat.rich("Ann", rooms=["attic"]), chat.rich("Bob", rooms=[])
    ann.say("attic", "one")
    ann.posts(1)
    with unreadable(chat):
        bob.tell("join", room="attic", id="j")
        error = bob.hear(lambda event: event["type"] == "error")[-1]
    assert (error["code"], error["id"]) == ("storage", "j")
    assert ann.ask("who", room="attic")["nicks"] == ["Ann"]
    bob.tell("join", room="attic")
    assert texts(bob.posts(1)) == ["one"]
    ann.say("attic", "two")
    assert texts(bob.posts(1)) == ["two"]


def test_an_unreadable_room_in_hello_is_not_joined_and_the_others_are(chat: Chat) -> None:
    ann = chat.rich("Ann", rooms=["attic"])
    ann.say("attic", "one")
    ann.posts(1)
    with unreadable(chat):
        bob = chat.rich("Bob", rooms=["attic"])
    (error,) = [event for event in bob.greeting if event["type"] == "error"]
    assert (error["code"], error["room"]) == ("storage", "attic")
    bob.say("attic", "pending", key="k")  # not `not_joined`: it is to be sent again later
    error = bob.event()
    assert (error["code"], error["key"], error["room"]) == ("storage", "k", "attic")
    bob.tell("join", room="attic")
    assert texts(bob.posts(1)) == ["one"]
    ann.say("attic", "two")
    assert texts(bob.posts(1)) == ["two"]
    bob.say("attic", "pending", key="k")
    assert texts(bob.posts(1)) == ["pending"]


def test_who_asks_again_for_a_room_that_cannot_be_opened_hears_which_one(chat: Chat) -> None:
    """Otherwise it would not know that it has to ask once more."""
    ann = chat.rich("Ann")
    with patch.object(SqliteTimeline, "open", side_effect=Refused("storage", "Not now.")):
        ann.tell("join", room="attic")
        error = ann.event()
    assert (error["code"], error["room"]) == ("storage", "attic")
    assert "id" not in error


def test_whose_account_cannot_store_that_it_joined_hears_which_room(chat: Chat) -> None:
    ann = registered(chat, "Ann")
    with unwritable(chat):
        ann.tell("join", room="attic")
        error = ann.hear(lambda event: event["type"] == "error")[-1]
    assert (error["code"], error["room"]) == ("storage", "attic")


def test_a_room_that_waits_can_be_left(chat: Chat) -> None:
    ann = chat.rich("Ann", rooms=["attic"])
    ann.say("attic", "one")
    ann.posts(1)
    with unreadable(chat):
        bob = chat.rich("Bob", rooms=["attic"])
    assert bob.ask("leave", room="attic")["code"] == "not_joined"
    assert bob.ask("say", room="attic", text="two", key="k")["code"] == "not_joined"
