"""Renames: several of one member in a turn become one, and whoever listens is never misled."""

from collections.abc import Sequence
from typing import TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from geventchat.protocol import events
from geventchat.protocol.events import Presence, Typing
from geventchat.server.chat.room import Member, Room
from geventchat.server.session.session import Session
from tests.server.hub_harness import Harness, heard, link_of

Heard: TypeAlias = Sequence[events.Event | None]
Told: TypeAlias = list[tuple[str | None, str | None]]


class Place:
    """A room with somebody who listens, and others with nicks."""

    def __init__(self, *nicks: str) -> None:
        self.harness = Harness()
        self.room = Room("lobby", 0, "")
        self.listener = self._member("listener")
        self.members = {nick: self._member(nick) for nick in nicks}

    def _member(self, nick: str) -> Session:
        session = self.harness.session(rich=True)
        session.nick = nick
        self.room.add(Member(session, self.room))
        self.room.go_live(self.room.members[session])
        return session

    def rename(self, who: str, *nicks: str) -> None:
        """Rename the member that started as `who`."""
        for nick in nicks:
            session = self.members[who]
            former, session.nick = session.nick, nick
            assert self.room.tell_rename(session, former)

    def leave(self, who: str) -> None:
        session = self.members.pop(who)
        self.room.remove(self.room.members[session])
        self.room.tell(Presence(room="lobby", nick=session.nick, event="leave"))

    def join(self, who: str, nick: str) -> None:
        session = self.members[who] = self._member(nick)
        self.room.tell(Presence(room="lobby", nick=nick, event="join"), session)

    def turn(self) -> Heard:
        """Take a turn if there is anything to tell; give what the listener heard."""
        turn = self.room.begin_turn()
        if turn is None:
            return []
        while turn not in self.room.reach(5):
            pass
        told = [events.decode(frame) for frame in heard(self.listener)]
        link_of(self.listener).taken.clear()
        return told

    def renames(self) -> Told:
        """Take a turn; give the renames that the listener heard."""
        told = self.turn()
        return [(each.nick, each.new_nick) for each in told if isinstance(each, Presence)]


def test_several_renames_of_a_member_in_a_turn_are_told_as_one() -> None:
    place = Place("anna", "bert")
    place.rename("anna", "a1")
    place.rename("bert", "b1")
    place.rename("anna", "a2", "a3")
    assert place.renames() == [("anna", "a3"), ("bert", "b1")]


def test_a_member_that_takes_its_nick_back_in_a_turn_is_not_told_of() -> None:
    place = Place("anna")
    place.rename("anna", "a1", "anna")
    assert place.renames() == []


def test_renames_of_two_turns_are_told_in_both() -> None:
    place = Place("anna")
    place.rename("anna", "a1")
    assert place.renames() == [("anna", "a1")]
    place.rename("anna", "a2")
    assert place.renames() == [("a1", "a2")]


def test_whoever_renames_does_not_hear_it_from_the_room() -> None:
    place = Place("anna")
    place.rename("anna", "a1", "a2")
    place.turn()
    assert heard(place.members["anna"]) == []


def test_a_nick_that_another_member_gave_up_is_told_after_that() -> None:
    place = Place("anna", "bert")
    place.rename("anna", "a1")
    place.rename("bert", "b1")
    place.rename("anna", "bert")
    assert place.renames() == [("anna", "a1"), ("bert", "b1"), ("a1", "bert")]


def test_a_nick_of_one_who_left_is_told_after_that() -> None:
    place = Place("anna", "bert")
    place.rename("anna", "a1")
    place.leave("bert")
    place.rename("anna", "bert")
    told = [each for each in place.turn() if isinstance(each, Presence)]
    assert [(each.event, each.nick, each.new_nick) for each in told] == [
        ("rename", "anna", "a1"),
        ("leave", "bert", None),
        ("rename", "a1", "bert"),
    ]


def test_a_nick_that_another_had_meanwhile_is_told_after_that() -> None:
    place = Place("anna", "bert")
    place.rename("anna", "a1")
    place.leave("bert")
    place.join("bert", "anna")
    place.rename("bert", "b1")
    place.rename("anna", "anna")
    told = [each for each in place.turn() if isinstance(each, Presence)]
    assert [(each.event, each.nick, each.new_nick) for each in told] == [
        ("rename", "anna", "a1"),
        ("leave", "bert", None),
        ("join", "anna", None),
        ("rename", "anna", "b1"),
        ("rename", "a1", "anna"),
    ]


MOVES = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from("abcdefg"), st.integers(0, 9)), max_size=30
)


@given(MOVES)
def test_whoever_listens_always_knows_who_is_there(moves: list[tuple[int, str, int]]) -> None:
    """Following what is told, event by event, no two ever have one nick, and the end is right."""
    place = Place(*"0123")
    known = set(place.members)
    for number, nick, luck in moves:
        who = str(number)
        if luck == 9:
            follow(known, place.turn())
            assert known == {each.nick for each in place.members.values()}
        elif nick in {each.nick for each in place.members.values()}:
            continue
        elif who not in place.members:
            place.join(who, nick)
        elif luck == 8:
            place.leave(who)
        else:
            place.rename(who, nick)
    follow(known, place.turn())
    assert known == {each.nick for each in place.members.values()}


def follow(known: set[str], told: Heard) -> None:
    """Change what is known by what is told, as a client does."""
    for event in told:
        assert isinstance(event, Presence)
        assert event.nick is not None
        if event.event == "join":
            assert event.nick not in known
            known.add(event.nick)
            continue
        known.remove(event.nick)
        if event.event == "rename":
            assert event.new_nick is not None
            assert event.new_nick not in known
            known.add(event.new_nick)


def test_typing_is_told_once_a_turn() -> None:
    place = Place("anna", "bert")
    for nick in ("anna", "bert", "anna", "anna"):
        assert place.room.tell(Typing("lobby", nick), place.members[nick])
    assert place.turn() == [Typing("lobby", "anna"), Typing("lobby", "bert")]
    place.room.tell(Typing("lobby", "anna"), place.members["anna"])
    assert place.turn() == [Typing("lobby", "anna")]
