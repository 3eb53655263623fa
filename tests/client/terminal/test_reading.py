"""The terminal moves the read mark of an account, and follows the marks of its other devices."""

from collections.abc import Iterator
from datetime import date

import gevent
import pytest
from msgspec import structs

from geventchat.client import Connection
from geventchat.client.terminal.reading import Reading
from geventchat.client.terminal.view import View
from geventchat.protocol.events import Joined, Person, Post, Read
from geventchat.protocol.requests import SignIn
from tests.client.peer import conversation, joined
from tests.conversations.conftest import serving


@pytest.fixture
def port() -> Iterator[int]:
    with serving("memory:") as server:
        yield server.address[1]


class Device:
    """A terminal of an account, without its screen."""

    def __init__(self, port: int, account: SignIn) -> None:
        self.chat = Connection("127.0.0.1", port, account=account, rooms=["tea"])
        self.view = View("lobby", "Ann", date(2026, 3, 3))
        self.reading = Reading(self.chat, self.view)

    def hear(self, kind: type, room: str) -> None:
        """Handle events up to one of this kind in a room."""
        with gevent.Timeout(20):
            for event in self.chat:
                self.reading.hear(event)
                self.view.hear(event)
                if isinstance(event, kind) and getattr(event, "room", None) == room:
                    return


def test_what_is_still_unread_of_a_conversation_stands_out() -> None:
    """As it did before another device had read a part of it."""
    talk, view = "@Xb81kQz0Tn4c", View("lobby", "Ann", date(2026, 3, 3))
    bob = Person(nick="Bob", account="account-bob")
    opened = structs.replace(joined(2), room=talk, with_=bob, read=0, unread=2)
    with conversation() as (chat, _):
        reading = Reading(chat, view)
        for event in opened, Read(room=talk, position=1, unread=1, mentions=0):
            reading.hear(event)
            view.hear(event)
    assert (view.rooms[talk].unread, view.rooms[talk].mentioned) == (1, True)


def test_what_is_shown_on_one_device_is_read_on_the_other(port: int) -> None:
    first = Device(port, SignIn(nick="Ann", password="correct horse", register=True))
    first.hear(Joined, "lobby")
    first.chat.join("tea")
    first.hear(Joined, "tea")
    assert first.chat.session is not None
    second = Device(port, SignIn(session=first.chat.session))
    second.hear(Joined, "lobby")  # the last
    with Connection("127.0.0.1", port, nick="Bob", rooms=["tea"]) as bob:
        bob.say("tea", "hello, Ann")
        bob.ping()
        for device in (first, second):
            device.hear(Post, "tea")
    assert (second.view.rooms["tea"].unread, second.view.rooms["tea"].mentioned) == (1, True)
    first.view.enter("tea")
    first.reading.mark()
    second.hear(Read, "tea")
    assert (second.view.rooms["tea"].unread, second.view.rooms["tea"].mentioned) == (0, False)
    for device in (first, second):
        device.chat.close()
