"""/list and /more: the rooms of the server, a page at a time."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import msgspec
import pytest

from geventchat.client import Connection, ListedRoom, RoomList
from geventchat.client.terminal.command import run_command
from geventchat.client.terminal.errors import NotUnderstood
from geventchat.client.terminal.room import Room
from geventchat.client.terminal.typed import read
from geventchat.client.terminal.view import View
from geventchat.protocol.events import Error
from tests.client import peer as peers
from tests.client.peer import Peer, conversation, meanwhile

TEA = ListedRoom(name="tea", topic="Darjeeling", members=12, position=7)
LOBBY = ListedRoom(name="lobby", members=2, position=1)
ATTIC = ListedRoom(name="attic", topic="dust", members=0, position=0)
MORE = "/more shows the next rooms; /join ROOM joins one"


class Terminal:
    """A user's commands, and the server that answers them by hand."""

    def __init__(self, chat: Connection, peer: Peer) -> None:
        self.view = View("lobby", "anna", date(2026, 3, 3))
        self.view.rooms["lobby"] = Room("lobby", joined=True, count=2)
        self._chat = chat
        self._peer = peer
        self.asked: list[dict[str, Any]] = []

    def type(self, line: str, *pages: RoomList | Error) -> list[str]:
        """Run a command whose requests are answered with these pages; return what is shown."""
        typing = meanwhile(lambda: self._run(line))
        for page in pages:
            request = self._peer.request()
            self._peer.tell(msgspec.structs.replace(page, id=request.pop("id")))
            self.asked.append(request)
        shown: list[str] = typing.get(timeout=20)
        return shown

    def _run(self, line: str) -> list[str]:
        meant = read(line)
        assert isinstance(meant, tuple)
        try:
            shown = list(run_command(*meant, self._chat, self.view))
        except NotUnderstood as error:
            return [f"! {error}"]
        return ["".join(text for _, text in line).strip(" ·") for line in shown]


@pytest.fixture
def features() -> list[str]:
    return ["rooms"]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, features: list[str]) -> Iterator[Terminal]:
    welcome = msgspec.structs.replace(peers.WELCOME, features=features)
    monkeypatch.setattr(peers, "WELCOME", welcome)
    with conversation() as (chat, peer):
        yield Terminal(chat, peer)


def test_list_shows_the_rooms_of_the_server(terminal: Terminal) -> None:
    assert terminal.type("/list", RoomList(rooms=[TEA, LOBBY, ATTIC])) == [
        "tea (12 here): Darjeeling",
        "lobby (joined, 2 here)",
        "attic (nobody here): dust",
    ]
    assert terminal.asked == [{"type": "rooms", "limit": 20}]


def test_more_shows_the_next_page_until_there_is_none(terminal: Terminal) -> None:
    assert terminal.type("/list t", RoomList(rooms=[TEA], next="c1"))[1:] == [MORE]
    assert terminal.type("/more", RoomList(rooms=[LOBBY], next="c2"))[1:] == [MORE]
    assert terminal.type("/more", RoomList(rooms=[ATTIC])) == ["attic (nobody here): dust"]
    after = [(request["prefix"], request.get("after")) for request in terminal.asked]
    assert after == [("t", None), ("t", "c1"), ("t", "c2")]
    assert terminal.type("/more") == ["! There are no more; /list begins with the first."]


def test_a_page_without_rooms_is_not_the_last(terminal: Terminal) -> None:
    pages = RoomList(rooms=[], next="c1"), RoomList(rooms=[], next="c2"), RoomList(rooms=[ATTIC])
    assert terminal.type("/list", *pages) == ["attic (nobody here): dust"]
    assert [request.get("after") for request in terminal.asked] == [None, "c1", "c2"]


def test_a_list_without_rooms_says_so(terminal: Terminal) -> None:
    assert terminal.type("/list", RoomList(rooms=[])) == ["no room can be found here"]
    assert terminal.type("/list zz", RoomList(rooms=[])) == ["no room here begins with zz"]
    terminal.type("/list", RoomList(rooms=[TEA], next="c"))
    assert terminal.type("/more", RoomList(rooms=[])) == ["no more rooms"]


def test_a_room_may_be_named_as_on_irc(terminal: Terminal) -> None:
    terminal.type("/list #dev", RoomList(rooms=[]))
    terminal.type("/list #", RoomList(rooms=[]))
    assert [request["prefix"] for request in terminal.asked] == ["dev", "#"]


def test_a_page_that_failed_can_be_asked_for_again(terminal: Terminal) -> None:
    terminal.type("/list", RoomList(rooms=[TEA], next="c1"))
    with pytest.raises(Exception, match="broken"):
        terminal.type("/more", Error(code="storage", text="It is broken."))
    assert terminal.type("/more", RoomList(rooms=[ATTIC])) == ["attic (nobody here): dust"]
    assert [request.get("after") for request in terminal.asked] == [None, "c1", "c1"]


def test_a_long_topic_is_cut_and_shown_harmless(terminal: Terminal) -> None:
    room = ListedRoom(name="tea", topic=f"\x1b[2J\n{'x' * 400}", members=1, position=0)
    (line,) = terminal.type("/list", RoomList(rooms=[room]))
    assert line.endswith("xxx…")
    assert len(line) < 140
    assert line.isprintable()


@pytest.mark.parametrize("features", [[]])
def test_a_server_that_cannot_list_its_rooms_is_one_line(terminal: Terminal) -> None:
    assert terminal.type("/list") == ["! This server cannot list its rooms."]


def test_more_before_list_is_one_line(terminal: Terminal) -> None:
    assert terminal.type("/more") == ["! There are no more; /list begins with the first."]
