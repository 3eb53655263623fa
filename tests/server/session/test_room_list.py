"""The list of rooms by the page: together the pages are the whole list, each costs what it has."""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geventchat.protocol import events, names, requests
from geventchat.protocol.errors import Refused
from geventchat.protocol.events import ListedRoom, RoomList
from geventchat.protocol.frames import MAX_SERVER_FRAME_BYTES
from geventchat.server.session import room_list
from geventchat.server.session.session import Session
from geventchat.server.timeline import PAGE_BYTES
from geventchat.server.wire import JSON
from tests.server.hub_harness import Harness
from tests.server.session.test_charges import Charged

NAMES = ["a", "ab", "abc", "b", "ba", "é", "日本", ".a", ".", "a.b", "ss"]
PREFIXES = ["", *NAMES, "A", "ＡＢ", "É", "ß", "abcd", "z"]


class Rooms:
    """A server with rooms, and a client that lists them."""

    def __init__(self) -> None:
        self.harness = Harness(rooms_per_client=10_000)
        self.asker = self.client("asker")

    def client(self, nick: str) -> Session:
        session = self.harness.session()
        session.rooms = self.harness.hub.add(session)
        self.harness.hub.authenticate(session, hashlib.blake2b(nick.encode()).digest(), JSON)
        return session

    def fill(self, members: dict[str, int]) -> None:
        """Give each room so many members."""
        clients = [self.client(str(number)) for number in range(max(members.values(), default=0))]
        for room, count in members.items():
            for client in clients[:count]:
                self.harness.hub.join(client, room)

    def set_topics(self, topics: dict[str, str]) -> None:
        for room, topic in topics.items():
            self.harness.set_topic(self.asker, topic, room)
        self.harness.timeline.store()
        self.harness.timeline.deliver_next()
        while self.harness.delivering:
            self.harness.slice()

    def page(self, **fields: Any) -> RoomList:
        return room_list.page(self.asker, requests.Rooms(**fields))

    def pages(self, **fields: Any) -> list[RoomList]:
        pages = [self.page(**fields)]
        while pages[-1].next is not None:
            pages.append(self.page(after=pages[-1].next, **fields))
        return pages

    def names(self, **fields: Any) -> list[str]:
        return [room.name for page in self.pages(**fields) for room in page.rooms]


@pytest.fixture
def rooms() -> Rooms:
    return Rooms()


counts = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 4))
topics = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["", "tea", "日本 🍷"]))


@given(counts, topics, st.sampled_from(PREFIXES), st.integers(1, 6))
def test_the_pages_joined_are_the_whole_list(
    members: dict[str, int], topics: dict[str, str], prefix: str, limit: int
) -> None:
    rooms = Rooms()
    rooms.fill(members)
    rooms.set_topics(topics)
    expected = [
        ListedRoom(name=name, topic=topics.get(name, ""), members=members.get(name, 0), position=0)
        for name in NAMES
        if (members.get(name) or topics.get(name))
        and name[0] != "."
        and name.startswith(names.fold(prefix))
    ]
    pages = rooms.pages(prefix=prefix, limit=limit)
    found = [room for page in pages for room in page.rooms]
    assert found == sorted(expected, key=lambda room: (-room.members, room.name))
    assert [len(page.rooms) for page in pages[:-1]] == [limit] * (len(pages) - 1)
    assert pages[-1].rooms or not found


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(NAMES[:6])), max_size=20))
def test_a_page_follows_a_place_that_no_longer_exists(moves: list[tuple[str, str]]) -> None:
    """Rooms that did not move meanwhile are neither missed nor repeated."""
    rooms = Rooms()
    rooms.fill(dict.fromkeys(["still-0", "still-1", "still-2"], 3))
    rooms.set_topics({"still-3": "t", "still-4": "t"})
    moving = {nick: rooms.client(nick) for nick in "ab"}
    found: list[str] = []
    after = None
    while True:
        page = rooms.page(limit=1, after=after)
        found += [room.name for room in page.rooms]
        if page.next is None:
            break
        after = page.next
        if moves:
            nick, room = moves.pop()
            member = moving[nick].rooms.get(room)
            if member is not None:
                rooms.harness.hub.leave(member)
            else:
                rooms.harness.hub.join(moving[nick], room)
    still = [name for name in found if name.startswith("still")]
    assert still == [f"still-{number}" for number in range(5)]


def encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).decode()


@given(st.text(max_size=256) | st.binary(max_size=150).map(encoded))
def test_no_cursor_but_that_of_a_page_is_accepted(cursor: str) -> None:
    rooms = Rooms()
    try:
        members, name = msgspec.msgpack.decode(urlsafe_b64decode(cursor), type=tuple[int, str])
        known = 0 <= members <= 2**53 and cursor == encoded(msgspec.msgpack.encode([members, name]))
    except ValueError:
        known = False
    if known and len(name) <= 32:
        assert rooms.page(after=cursor).rooms == []
    else:
        with pytest.raises(Refused, match="after") as refused:
            rooms.page(after=cursor)
        assert refused.value.code == "bad_field"


@pytest.mark.parametrize("place", [[-1, "a"], [1.0, "a"], [1], [1, "a", 2], [2**60, "a"], "a", {}])
def test_a_cursor_of_another_shape_is_a_bad_field(rooms: Rooms, place: object) -> None:
    cursor = encoded(msgspec.msgpack.encode(place))
    with pytest.raises(Refused, match="after"):
        rooms.page(after=cursor)


def test_every_cursor_is_short_enough_to_be_sent_back(rooms: Rooms) -> None:
    longest = "😀" * names.MAX_NAME_LENGTH
    rooms.fill({longest: 1, "a": 1})
    rooms.set_topics({f"{longest[:-1]}a": "t"})
    pages = rooms.pages(limit=1)
    assert len(pages) == 3
    for page in pages[:-1]:
        decoded = requests.decode(requests.encode(requests.Rooms(after=page.next)))
        assert decoded == requests.Rooms(after=page.next)


def test_without_a_limit_a_page_has_50_rooms(rooms: Rooms) -> None:
    rooms.fill({f"r{number}": 1 for number in range(60)})
    assert [len(page.rooms) for page in rooms.pages()] == [50, 10]
    assert [len(page.rooms) for page in rooms.pages(limit=60)] == [60]


def test_a_page_of_the_longest_topics_fits_into_a_frame(rooms: Rooms) -> None:
    rooms.set_topics({f"{number:03}{'😀' * 29}": "\x01" * 500 for number in range(200)})
    pages = rooms.pages(limit=200)
    assert len(pages) > 1
    assert sum(len(page.rooms) for page in pages) == 200
    assert all(len(events.encode(page)) <= PAGE_BYTES + 1_000 for page in pages)
    assert PAGE_BYTES + 1_000 < MAX_SERVER_FRAME_BYTES


def test_a_page_ends_after_so_many_rooms_that_were_listed_before(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rooms with members that have a topic are in the order of topics, too."""
    monkeypatch.setattr(room_list, "_MOST_EXAMINED", 100)
    full = {f"r{number:03}": 1 for number in range(450)}
    rooms.fill(full)
    rooms.set_topics(dict.fromkeys([*full, "s"], "t"))
    pages = rooms.pages(limit=50)
    assert [len(page.rooms) for page in pages] == [50] * 9 + [0] * 4 + [1]
    assert rooms.names(limit=50) == [*full, "s"]


def price(rooms: Rooms, **fields: Any) -> float:
    assert rooms.asker.link is not None
    rooms.asker.link.pace = pace = Charged()
    rooms.page(**fields)
    return pace.tokens


def test_a_page_takes_more_tokens_the_more_rooms_it_has(rooms: Rooms) -> None:
    rooms.fill({f"r{number}": 1 for number in range(300)})
    small, large = price(rooms, limit=1), price(rooms, limit=200)
    assert 0 < small < 0.1 < 0.8 < large
    assert price(rooms, prefix="nothing") == small  # to find none is work, too


def test_a_page_takes_tokens_for_the_rooms_that_it_leaves_out(rooms: Rooms) -> None:
    full = {f"r{number}": 1 for number in range(300)}
    rooms.fill(full)
    rooms.set_topics(dict.fromkeys(full, "t"))
    assert [page.rooms for page in rooms.pages(after=encoded(b"\x92\x01\xa3r99"))] == [[]]
    assert price(rooms, after=encoded(b"\x92\x01\xa3r99")) > 1
