"""A room: one order for all, one encoding per wire form, and events for rich members only."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geventchat.protocol import events
from geventchat.protocol.events import Typing
from geventchat.server.wire import PLAIN
from tests.server.hub_harness import heard, link_of
from tests.server.room_fixture import RoomFixture, rich_frame

# One order, one encoding


def test_every_plain_member_gets_the_same_bytes_object() -> None:
    fixture = RoomFixture()
    members = [fixture.member() for _ in range(5)]
    author = fixture.member(rich=True)
    fixture.post("one", author)
    fixture.post("two", author)
    fixture.turn()
    offered = [link_of(member).offered for member in members]
    assert offered[0] == [b"one\0two\0"]
    assert len({id(item) for [item] in offered}) == 1


def test_every_rich_member_including_the_author_gets_the_same_bytes_object() -> None:
    fixture = RoomFixture()
    members = [fixture.member(rich=True) for _ in range(5)]
    posts = [fixture.post("one", members[0]), fixture.post("two", members[3])]
    fixture.turn()
    offered = [link_of(member).offered for member in members]
    assert heard(members[0]) == [rich_frame(post) for post in posts]
    assert len({id(item) for [item] in offered}) == 1


def test_a_post_is_encoded_once_for_all_rich_members(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: Counter[str] = Counter()

    def encode(event: Any) -> bytes:
        encoded[event.text] += 1
        return b"{}"

    monkeypatch.setattr(events, "encode", encode)
    fixture = RoomFixture()
    members = [fixture.member(rich=True) for _ in range(20)]
    fixture.post("one", members[0])
    fixture.post("two", members[1])
    fixture.turn()
    assert encoded == {"one": 1, "two": 1}


def test_without_a_rich_member_nothing_is_encoded_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "encode", None)
    fixture = RoomFixture()
    author, other = fixture.member(), fixture.member()
    fixture.post("one", author)
    fixture.turn()
    assert heard(other) == [b"one"]


def test_without_a_plain_member_nothing_is_encoded_as_plain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(type(PLAIN), "encode", None)
    fixture = RoomFixture()
    author, other = fixture.member(rich=True), fixture.member(rich=True)
    post = fixture.post("one", author)
    fixture.turn()
    assert heard(other) == [rich_frame(post)]


@given(st.lists(st.tuples(st.integers(0, 4), st.text("ab", max_size=3)), min_size=1, max_size=12))
def test_a_plain_author_hears_all_but_its_own_posts(said: list[tuple[int, str]]) -> None:
    fixture = RoomFixture()
    plain = [fixture.member() for _ in range(4)]
    rich = fixture.member(rich=True)
    people = [*plain, rich]
    posts = [fixture.post(text, people[who]) for who, text in said]
    fixture.turn()
    for number, member in enumerate(plain):
        assert heard(member) == [text.encode() for who, text in said if who != number]
    assert heard(rich) == [rich_frame(post) for post in posts]


def test_pending_items_leave_in_one_write_per_member() -> None:
    fixture = RoomFixture()
    author, *others = [fixture.member(rich=number % 2 == 0) for number in range(6)]
    for number in range(50):
        fixture.post(str(number), author)
    fixture.turn()
    assert [len(link_of(other).offered) for other in others] == [1] * 5


def test_a_plain_author_with_only_its_own_posts_is_not_written_to() -> None:
    fixture = RoomFixture()
    author = fixture.member()
    fixture.post("one", author)
    fixture.turn()
    assert link_of(author).offered == []


# Events


def test_events_come_before_the_posts_of_a_turn_and_only_to_rich_members() -> None:
    fixture = RoomFixture()
    plain, rich = fixture.member(), fixture.member(rich=True)
    post = fixture.post("one", rich)
    assert fixture.room.tell(Typing("lobby", "anna"))
    fixture.turn()
    assert heard(plain) == [b"one"]
    assert heard(rich) == [events.encode(Typing("lobby", "anna")), rich_frame(post)]


def test_an_event_can_exclude_one_member() -> None:
    fixture = RoomFixture()
    anna, bert, carl = [fixture.member(rich=True) for _ in range(3)]
    for nick, session in (("anna", anna), ("bert", bert)):
        fixture.room.tell(Typing("lobby", nick), session)
    post = fixture.post("one", carl)
    fixture.turn()
    of_anna, of_bert = [events.encode(Typing("lobby", nick)) for nick in ("anna", "bert")]
    assert heard(anna) == [of_bert, rich_frame(post)]
    assert heard(bert) == [of_anna, rich_frame(post)]
    assert heard(carl) == [of_anna, of_bert, rich_frame(post)]


def test_a_turn_without_posts_leaves_plain_members_and_the_position_alone() -> None:
    fixture = RoomFixture(position=7)
    plain, rich = fixture.member(), fixture.member(rich=True)
    fixture.room.tell(Typing("lobby", "anna"))
    fixture.turn()
    assert link_of(plain).offered == []
    assert len(heard(rich)) == 1
    assert fixture.room.position == 7


def test_an_event_in_a_room_without_rich_members_is_dropped() -> None:
    fixture = RoomFixture()
    fixture.member()
    assert not fixture.room.tell(Typing("lobby", "anna"))
    assert fixture.room.begin_turn() is None


def test_a_room_knows_whether_anyone_rich_is_in_it() -> None:
    fixture = RoomFixture()
    rich = fixture.member(rich=True)
    fixture.member()
    assert fixture.room.rich_members == 1
    fixture.room.remove(fixture.room.members[rich])
    assert fixture.room.rich_members == 0
