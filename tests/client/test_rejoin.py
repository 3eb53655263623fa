"""A room is left and joined again by an application that has yet to read some of it."""

import signal
from pathlib import Path

import gevent
import pytest

from geventchat.client import Connection, Cursor, Gap, Joined, Post, Reconnected, backoff
from loadtests.support.address import free_port
from tests.process import served

POSTS = 200


def test_leaving_and_joining_in_the_handler_neither_loses_nor_doubles_a_post(
    port: int, room: str
) -> None:
    positions, recovered = [], []
    with (
        Connection("127.0.0.1", port, rooms=[room]) as bot,
        Connection("127.0.0.1", port, rooms=[room]) as talker,
        gevent.Timeout(20),
    ):
        for number in range(POSTS):
            talker.send(room, str(number))
        for event in bot:
            assert not isinstance(event, Gap)
            if isinstance(event, Joined):
                recovered.append(event.recovered)
            elif isinstance(event, Post):
                positions.append(event.position)
                if event.position == POSTS:
                    break
                cursor = bot.cursors[room]
                bot.leave(room)
                assert room not in bot.cursors
                bot.join(room, cursor)
                assert bot.cursors[room] == cursor
    assert positions == list(range(1, POSTS + 1))
    assert recovered == [None, *[True] * (POSTS - 1)]


def test_what_was_not_read_of_a_room_is_dropped_when_it_is_left(port: int, room: str) -> None:
    other = f"{room}-b"
    with Connection("127.0.0.1", port, rooms=[room, other]) as chat:
        for name in (room, other):
            chat.say(name, "unread")
        chat.leave(room)
        assert [event.room for event in chat.heard() if isinstance(event, Post)] == [other]


def test_a_cursor_of_an_empty_room_holds_over_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "MAX_SECONDS", 0.1)
    port = free_port()
    with served(tmp_path, "--port", str(port)) as server:
        bot = Connection("127.0.0.1", port, rooms=["empty"])
        first = next(event for event in bot if isinstance(event, Joined))
        assert bot.cursors == {"empty": Cursor(first.epoch, 0)}
        server.signal(signal.SIGTERM)
        server.wait(30)
    with served(tmp_path, "--port", str(port)), bot, gevent.Timeout(20):
        next(event for event in bot if isinstance(event, Reconnected))
        with Connection("127.0.0.1", port, rooms=["empty"]) as talker:
            talker.say("empty", "first")
        again, post = events(bot)
        assert isinstance(again, Joined)
        assert again.recovered is True
        assert isinstance(post, Post)
        assert post.position == 1


def events(chat: Connection) -> list[object]:
    """Return what tells of posts, up to the next post."""
    found: list[object] = []
    for event in chat:
        if isinstance(event, Joined | Post | Gap):
            found.append(event)
            if isinstance(event, Post):
                break
    return found
