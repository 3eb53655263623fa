"""`Connection` with a real server."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import gevent
import pytest

from geventchat.client import (
    Connection,
    Cursor,
    Direct,
    Error,
    Joined,
    Left,
    ListedRoom,
    Post,
    Presence,
    Refused,
    RoomList,
)

Connect = Callable[..., Connection]


@pytest.fixture
def connect(port: int, room: str) -> Iterator[Connect]:
    with ExitStack() as stack:

        def connect(nick: str | None = None, **options: object) -> Connection:
            given = {"rooms": [room], **options}
            return stack.enter_context(Connection("127.0.0.1", port, nick=nick, **given))  # type: ignore[arg-type]

        yield connect


def posts(chat: Connection) -> list[tuple[int, str, str]]:
    """Return the posts that a connection has heard by now."""
    chat.ping()
    return [(e.position, e.author, e.text) for e in chat.heard() if isinstance(e, Post)]


def test_everyone_hears_every_post_in_one_order(connect: Connect, room: str) -> None:
    anna, bert = connect("anna-1"), connect("bert-1")
    assert [anna.say(room, "hi"), bert.say(room, "ho"), anna.say(room, "日本 🎉\n")] == [1, 2, 3]
    said = [(1, "anna-1", "hi"), (2, "bert-1", "ho"), (3, "anna-1", "日本 🎉\n")]
    assert posts(anna) == posts(bert) == said


def test_rooms_are_listed_by_the_page(connect: Connect, room: str) -> None:
    names = [f"{room}-{letter}" for letter in "abc"]
    anna, bert = connect("anna-r", rooms=names[:2]), connect("bert-r", rooms=names[1:2])
    anna.join(names[2])
    anna.topic(names[2], "all about it")
    anna.leave(names[2])
    assert "rooms" in anna.welcome.features
    found = [
        ListedRoom(name=names[1], members=2, position=0),
        ListedRoom(name=names[0], members=1, position=0),
        ListedRoom(name=names[2], topic="all about it", members=0, position=0),
    ]
    assert bert.list_rooms(f"{room.upper()}-") == RoomList(id="1", rooms=found)
    first = bert.list_rooms(f"{room}-", limit=2)
    assert first.rooms == found[:2]
    last = bert.list_rooms(f"{room}-", limit=2, after=first.next)
    assert (last.rooms, last.next) == (found[2:], None)
    with pytest.raises(Refused, match="after"):
        bert.list_rooms(after="nonsense")


def test_an_echo_bot_is_a_few_lines(connect: Connect, room: str) -> None:
    def echo() -> None:
        with connect("echo") as chat:
            for event in chat:
                match event:
                    case Post(author=author, text=text) if text.startswith("!echo "):
                        chat.say(event.room, f"{author}: {text[6:]}")
                        return

    anna = connect("anna-2")
    bot = gevent.spawn(echo)
    while not any(isinstance(event, Presence) for event in anna):
        pass
    anna.say(room, "!echo hi")
    bot.get(timeout=20)
    assert posts(anna)[-1] == (2, "echo", "anna-2: hi")


def test_fast_senders_recognise_their_posts_by_key(connect: Connect, room: str) -> None:
    anna = connect("anna-3")
    keys = [anna.send(room, f"{number}") for number in range(500)]
    anna.say(room, "a pong may overtake what is being stored, the last post cannot", key="last")
    keys.append("last")
    assert [event.key for event in anna.heard() if isinstance(event, Post)] == keys


def test_a_repeated_say_is_stored_once(connect: Connect, room: str) -> None:
    anna = connect("anna-4")
    assert anna.say(room, "hi", key="k") == anna.say(room, "hi", key="k") == 1
    with pytest.raises(Refused) as refused:
        anna.say(room, "ho", key="k")
    assert refused.value.code == "key_conflict"
    assert posts(anna) == [(1, "anna-4", "hi")]


def test_a_room_resumes_at_its_cursor(connect: Connect, room: str) -> None:
    anna, bert = connect("anna-5"), connect("bert-5")
    anna.say(room, "heard")
    assert len(posts(bert)) == 1
    bert.close()
    anna.say(room, "missed")
    again = connect("bert-5", client=bert.client, rooms=bert.cursors)
    assert posts(again) == [(2, "anna-5", "missed")]
    cursor = again.cursors[room]
    assert isinstance(cursor, Cursor)
    assert cursor.position == 2


def test_requests_return_their_replies(connect: Connect, room: str) -> None:
    anna, bert = connect("anna-6"), connect("bert-6")
    assert sorted(anna.who(room).nicks) == ["anna-6", "bert-6"]
    other = anna.join(f"{room}-b")
    assert (other.position, other.recovered) == (0, None)
    anna.say(room, "old")
    assert [post.text for post in anna.history(room, limit=1).posts] == ["old"]
    assert anna.topic(room, "news").topic == "news"
    assert anna.leave(f"{room}-b").room == f"{room}-b"
    assert anna.rename("anne-6").nick == anna.nick == "anne-6"
    bert.direct("anne-6", "psst")
    anna.ping()
    heard = anna.heard()
    assert [event.text for event in heard if isinstance(event, Direct)] == ["psst"]
    assert [event.room for event in heard if isinstance(event, Joined)] == [room]
    assert [event.room for event in heard if isinstance(event, Left)] == [f"{room}-b"]


def test_a_refused_nick_is_an_error_among_the_first_events(connect: Connect) -> None:
    connect("anna-7")
    second = connect("anna-7")
    second.ping()
    assert second.nick.startswith("guest-")
    assert [e.code for e in second.heard() if isinstance(e, Error)] == ["nick_in_use"]
