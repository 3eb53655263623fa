"""The walk: turns on their way together, and who receives what of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geventchat.protocol.events import Edited, Post, Topic, Typing
from geventchat.server.chat.room import TURN_BYTES
from geventchat.server.chat.turn import Encoded, Pending, Recipient, Turn
from geventchat.server.session.session import Session
from geventchat.server.wire import JSON, PLAIN, Form
from tests.server.hub_harness import Harness, heard, link_of
from tests.server.room_fixture import RoomFixture


def begin_turns(fixture: RoomFixture, author: Session, *texts: str) -> None:
    """Begin a turn for each text, the next when the one before has reached one more member."""
    for text in texts:
        fixture.post(text, author)
        fixture.begin()
        fixture.reach(1)


def test_what_is_said_meanwhile_begins_with_whoever_is_next() -> None:
    fixture = RoomFixture()
    members = [fixture.member() for _ in range(4)]
    author = fixture.joining_member()
    fixture.post("one", author)
    first = fixture.begin()
    assert fixture.reach(2) == []
    fixture.post("two", author)
    second = fixture.begin()
    assert fixture.reach(2) == [first]
    assert [heard(each) for each in members] == [[b"one"]] * 2 + [[b"one", b"two"]] * 2
    assert fixture.room.position == 1
    assert fixture.reach(2) == [second]
    assert [heard(each) for each in members] == [[b"one", b"two"]] * 4
    assert fixture.room.position == 2


def test_a_member_gets_all_turns_on_their_way_in_one_send() -> None:
    fixture = RoomFixture()
    members = [fixture.member() for _ in range(4)]
    author = fixture.joining_member()
    begin_turns(fixture, author, "one", "two", "three")
    fixture.reach(1)
    assert link_of(members[3]).offered == [b"one\0two\0three\0"]


def test_a_turn_begins_when_the_one_before_has_gone_a_quarter_of_the_way() -> None:
    fixture = RoomFixture()
    for _ in range(8):
        fixture.member()
    author = fixture.joining_member()
    fixture.post("one", author)
    fixture.begin()
    fixture.post("two", author)
    assert fixture.room.begin_turn() is None
    fixture.reach(1)
    assert fixture.room.begin_turn() is None
    fixture.reach(1)
    assert fixture.room.begin_turn() is not None


def test_turns_on_their_way_together_are_no_larger_than_one_may_be() -> None:
    fixture = RoomFixture()
    for _ in range(4):
        fixture.member()
    author = fixture.joining_member()
    fixture.post("x" * (TURN_BYTES // 3), author)
    fixture.begin()
    fixture.reach(1)
    fixture.post("y" * (TURN_BYTES // 3), author)
    fixture.begin()
    fixture.reach(1)
    fixture.post("z", author)
    assert fixture.room.begin_turn() is None
    fixture.reach(3)
    assert fixture.room.begin_turn() is not None


def test_a_text_that_does_not_fit_beside_others_waits() -> None:
    fixture = RoomFixture()
    member, _ = fixture.member(), fixture.member()
    author = fixture.joining_member()
    fixture.post("one", author)
    fixture.begin()
    fixture.reach(1)
    fixture.post("x" * TURN_BYTES, author)
    assert fixture.room.begin_turn() is None
    assert fixture.room.waiting
    fixture.reach(1)
    fixture.turn()
    assert len(heard(member)) == 2


def test_a_new_member_gets_each_turn_on_its_way_once() -> None:
    fixture = RoomFixture()
    for _ in range(4):
        fixture.member()
    author = fixture.joining_member()
    begin_turns(fixture, author, "one", "two")
    late = fixture.member()
    while fixture.room.walk.turns:
        fixture.reach(1)
    assert heard(late) == [b"one", b"two"]
    fixture.post("three", author)
    fixture.turn()
    assert heard(late) == [b"one", b"two", b"three"]


@given(st.data())
def test_each_member_hears_everything_once_and_in_order(data: st.DataObject) -> None:
    """Whoever comes, leaves and posts at whatever step."""
    fixture = RoomFixture()
    author = fixture.joining_member()
    said: list[bytes] = []
    members = {fixture.member(): 0 for _ in range(3)}
    gone = {}
    for _ in range(data.draw(st.integers(1, 40))):
        match data.draw(st.sampled_from(["post", "reach", "reach", "join", "leave"])):
            case "post":
                said.append(b"%d" % len(said))
                fixture.post(said[-1].decode(), author)
                fixture.room.begin_turn()
            case "join":
                members[fixture.member()] = fixture.room.position
            case "leave" if members:
                leaver = data.draw(st.sampled_from(list(members)))
                fixture.room.remove(fixture.room.members[leaver])
                gone[leaver] = members.pop(leaver), heard(leaver)
            case "reach" if fixture.room.walk.turns:
                fixture.reach(data.draw(st.integers(1, 3)))
                fixture.room.begin_turn()
            case _:
                pass
    while fixture.room.begin_turn() is not None or fixture.room.walk.turns:
        fixture.reach(2)
    assert fixture.room.position == len(said)
    for member, since in members.items():
        assert heard(member) == said[since:]
    for member, (since, then) in gone.items():
        assert heard(member) == then == said[since : since + len(then)]


def test_those_who_were_removed_are_not_visited_for_ever() -> None:
    fixture = RoomFixture()
    members = [fixture.member() for _ in range(8)]
    author = fixture.joining_member()
    fixture.post("one", author)
    fixture.begin()
    fixture.reach(4)
    fixture.post("two", author)
    fixture.begin()
    for each in members[:3]:
        fixture.room.remove(fixture.room.members[each])
    assert len(fixture.reach(4)) == 1
    assert len(fixture.reach(1)) == 1
    assert [heard(each) for each in members[3:]] == [[b"one", b"two"]] * 5


def test_a_turn_that_cannot_be_encoded_is_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = Encoded.of

    def encode(form: Form, turn: Turn) -> Encoded:
        if turn.position == 2:
            raise ValueError("a bug of ours")
        return real(form, turn)

    monkeypatch.setattr(Encoded, "of", encode)
    fixture = RoomFixture()
    members = [fixture.member() for _ in range(4)]
    author = fixture.joining_member()
    begin_turns(fixture, author, "one", "broken", "two")
    while fixture.room.walk.turns:
        fixture.reach(1)
    assert [heard(each) for each in members] == [[b"one", b"two"]] * 4
    assert (fixture.room.position, author._unacknowledged) == (3, 0)
    assert caplog.text.count("a turn of the room 'lobby' failed") == 1


def test_a_bug_gives_up_the_turns_on_their_way_and_acknowledges_their_authors() -> None:
    fixture = RoomFixture()
    for _ in range(4):
        fixture.member()
    author = fixture.joining_member()
    fixture.post("one", author)
    fixture.begin()
    fixture.reach(1)
    fixture.post("two", author)
    fixture.room.give_up()
    assert (author._unacknowledged, fixture.room.position) == (0, 2)
    assert not fixture.room.walk.turns


_AUTHORS = [Harness().session(rich=rich) for rich in (False, True, False, True)]
_events = st.builds(Typing, room=st.just("lobby"), nick=st.sampled_from(["anna", "bert"]))
_entries = st.one_of(
    st.builds(Post, st.just("lobby"), st.integers(1, 9), st.just("anna"), st.just(0), st.text()),
    st.builds(Topic, room=st.just("lobby"), topic=st.text(), by=st.just("anna")),
    st.builds(
        Edited,
        room=st.just("lobby"),
        position=st.integers(1, 9),
        change=st.integers(1, 9),
        text=st.text(),
        by=st.just("anna"),
    ),
)
_pending = st.none() | st.builds(
    Pending, st.sampled_from(_AUTHORS), st.none() | st.just("7"), st.just(0.0)
)
_turns = st.builds(
    lambda told, entries: Turn(
        told, entries, sum(isinstance(each, Post) for each, _ in entries), 9, 0
    ),
    st.lists(st.tuples(_events, st.none() | st.sampled_from(_AUTHORS)), max_size=3),
    st.lists(st.tuples(_entries, _pending), max_size=4),
)


@given(st.lists(_turns, min_size=1, max_size=4), st.sampled_from(_AUTHORS), st.integers(0, 9))
def test_turns_together_are_what_they_are_one_by_one(
    turns: list[Turn], author: Recipient, hidden: int
) -> None:
    for form in (PLAIN, JSON):
        several = [turn.encoded(form) for turn in turns]
        member = Recipient(_AUTHORS[0])
        member.participant, member.hidden = author, hidden  # type: ignore[assignment]
        together = Encoded.joined(several)
        assert together.blob == b"".join(each.blob for each in several)
        assert b"".join(together.for_one(member)) == b"".join(
            piece for each in several for piece in each.for_one(member)
        )
