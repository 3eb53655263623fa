"""The directory: rooms with members, the most first; found without a look at the others."""

import gc
from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geventchat.server.chat.directory import Directory
from geventchat.server.chat.room import Room

MANY = 100_000
NAMES = ["a", "ab", "abc", "b", "ba", "c", "é", "日本", ".a", ".", "a.b", "A"]


class Rooms:
    """Rooms as a hub has them, and their directory."""

    def __init__(self, **members: int) -> None:
        self.rooms: dict[str, Room] = {}
        self.directory = Directory(self.rooms)
        for name, count in members.items():
            self.set(name, count)

    def set(self, name: str, count: int) -> None:
        """Give a room so many members; without any it is dropped."""
        room = self.rooms.setdefault(name, Room(name, 0, ""))
        room.count = count
        if not count:
            del self.rooms[name]
        self.directory.update(room)

    def names(self, members: int | None = None, name: str = "", prefix: str = "") -> list[str]:
        return [each for each, _ in self.directory.after(members, name, prefix)]


def test_rooms_with_most_members_come_first_and_equals_by_name() -> None:
    rooms = Rooms(few=1, many=30, c=2, a=2, b=2)
    assert rooms.names() == ["many", "a", "b", "c", "few"]


def test_a_room_moves_as_members_come_and_go() -> None:
    rooms = Rooms(a=1, b=2)
    rooms.set("a", 3)
    assert rooms.names() == ["a", "b"]
    rooms.set("a", 1)
    assert rooms.names() == ["b", "a"]
    rooms.set("b", 0)
    assert rooms.names() == ["a"]


def test_a_room_without_announced_members_is_not_listed() -> None:
    rooms = Rooms(a=1)
    rooms.rooms["a"].count = 0
    rooms.directory.update(rooms.rooms["a"])
    assert (rooms.names(), "a" in rooms.directory) == ([], False)


def test_a_name_that_begins_with_a_dot_is_unlisted() -> None:
    rooms = Rooms(**{".secret": 9, ".": 2, "a.b": 1})
    assert rooms.names() == ["a.b"]
    assert rooms.names(prefix=".") == rooms.names(prefix=".secret") == []
    assert ".secret" not in rooms.directory


def test_a_room_that_was_dropped_no_longer_counts_although_members_are_away() -> None:
    """A nick is held in a room that the hub has dropped, and another room has its name now."""
    rooms = Rooms(a=1)
    dropped = rooms.rooms.pop("a")
    rooms.directory.update(dropped)
    assert rooms.names() == []
    rooms.set("a", 5)
    dropped.count = 0
    rooms.directory.update(dropped)
    assert rooms.names() == ["a"]
    assert "a" in rooms.directory


@given(
    st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 4)), max_size=30),
    st.sampled_from(["", *NAMES, "abcd", "z"]),
    st.none() | st.integers(0, 5),
    st.sampled_from(["", *NAMES]),
)
def test_what_follows_a_place_is_what_a_sorted_list_has_there(
    moves: list[tuple[str, int]], prefix: str, members: int | None, name: str
) -> None:
    rooms = Rooms()
    counts = {}
    for each, count in moves:
        rooms.set(each, count)
        counts[each] = count
    order = sorted((-count, each) for each, count in counts.items() if count and each[0] != ".")
    start = (-members, name) if members is not None else (-9, "")
    expected = [each for count, each in order if (count, each) > start and each.startswith(prefix)]
    assert rooms.names(members, name, prefix) == expected


class Name(str):
    """A name whose comparisons can be counted: they are what an ordered list does, not seconds."""

    __slots__ = ()


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list with the number of comparisons of names so far."""
    made = [0]

    def counted(compare: Callable[[str, Any], bool]) -> Callable[[str, Any], bool]:
        def counting(name: str, other: object) -> bool:
            made[0] += 1
            return compare(name, other)

        return counting

    monkeypatch.setattr(Name, "__lt__", counted(str.__lt__))
    monkeypatch.setattr(Name, "__eq__", counted(str.__eq__))
    return made


@pytest.fixture(scope="module")
def crowded() -> Rooms:
    """A directory of very many rooms, with 1 to 400 members each."""
    rooms = Rooms()
    gc.disable()  # it would look at all of them again and again
    try:
        for number in range(MANY):
            name = Name(f"room-{number * 7_919 % MANY:05}")
            room = rooms.rooms[name] = Room(name, 0, "")
            room.count = number % 400 + 1
            rooms.directory.update(room)
    finally:
        gc.enable()
    return rooms


def test_a_move_among_100_000_rooms_compares_few(crowded: Rooms, compared: list[int]) -> None:
    for name in ("room-00000", "room-50000", "room-99999"):
        room = crowded.rooms[name]
        for change in (1, -1):
            compared[0] = 0
            room.count += change
            crowded.directory.update(room)
            assert 0 < compared[0] < 200


@pytest.mark.parametrize("members", [None, 400, 200, 1])
def test_a_page_among_100_000_rooms_compares_few(
    crowded: Rooms, compared: list[int], members: int | None
) -> None:
    found = crowded.directory.after(members, "room-5")
    assert len(list(islice(found, 100))) == 100
    assert compared[0] < 100


@pytest.mark.parametrize(("prefix", "count"), [("room-4242", 10), ("room-42424", 1), ("x", 0)])
def test_a_prefix_among_100_000_rooms_looks_once_at_each_number_of_members(
    crowded: Rooms, compared: list[int], prefix: str, count: int
) -> None:
    assert len(list(crowded.directory.after(None, "", prefix))) == count
    assert 0 < compared[0] < 400 * 60
