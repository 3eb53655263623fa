"""The turns of a room: bounded, in slices, and whole for each member that is there to the end."""

import gevent
import pytest

from geventchat.protocol import events
from geventchat.protocol.events import Post, Typing
from geventchat.server.chat.room import TURN_BYTES, Member
from geventchat.server.chat.turn import Pending
from tests.server.hub_harness import heard, link_of
from tests.server.room_fixture import RoomFixture, rich_frame
from tests.server.switches import let_run

# Turns


def test_a_room_with_nothing_new_has_no_turn() -> None:
    fixture = RoomFixture()
    fixture.member()
    assert fixture.room.begin_turn() is None


def test_posts_during_a_turn_wait_for_the_next() -> None:
    fixture = RoomFixture()
    author, other = fixture.member(), fixture.member()
    fixture.post("one", author)
    fixture.begin()
    fixture.post("two", author)
    fixture.reach(2)
    assert heard(other) == [b"one"]
    fixture.turn()
    assert heard(other) == [b"one", b"two"]


def test_the_position_moves_when_the_turn_ends() -> None:
    fixture = RoomFixture(position=7)
    author = fixture.member()
    fixture.member()
    fixture.post("one", author)
    fixture.post("two", author)
    turn = fixture.begin()
    assert fixture.reach(1) == []
    assert fixture.room.position == 7
    assert fixture.reach(1) == [turn]
    assert fixture.room.position == 9


def test_an_author_is_acknowledged_when_all_members_have_its_post() -> None:
    fixture = RoomFixture()
    author = fixture.member(rich=True)
    fixture.member(rich=True)
    fixture.post("one", author)
    fixture.post("two", author)
    fixture.begin()
    fixture.reach(1)
    assert author._unacknowledged == 2
    fixture.reach(1)
    assert author._unacknowledged == 0


def test_a_turn_in_an_empty_room_is_done_at_once() -> None:
    fixture = RoomFixture()
    author = fixture.harness.session()
    fixture.post("one", author)
    turn = fixture.begin()
    assert fixture.reach(1) == [turn]
    assert (author._unacknowledged, fixture.room.position) == (0, 1)


def test_a_post_from_before_the_room_was_opened_is_ignored() -> None:
    fixture = RoomFixture(position=7)
    author = fixture.member(rich=True)
    old = Post("lobby", 7, "anna", 0, "old")
    assert not fixture.room.post(old, Pending(author, None, 0.0))
    fixture.post("new", author)
    fixture.turn()
    assert [events.decode(frame) for frame in heard(author)] == [Post("lobby", 8, "", 0, "new")]


def test_a_turn_is_bounded_in_bytes_and_the_rest_waits() -> None:
    fixture = RoomFixture()
    author, other = fixture.member(), fixture.member()
    for _ in range(10):
        fixture.post("x" * (TURN_BYTES // 5), author)
    counts = []
    while (turn := fixture.room.begin_turn()) is not None:
        counts.append(turn.posts)
        assert fixture.reach(2) == [turn]
    assert counts == [4, 4, 2]  # the overhead of each post counts too
    assert len(heard(other)) == 10


def test_a_turn_takes_a_single_longer_post() -> None:
    fixture = RoomFixture()
    author, other = fixture.member(), fixture.member()
    texts = ["x" * (TURN_BYTES + 1), "y" * (TURN_BYTES + 2), "short"]
    for text in texts:
        fixture.post(text, author)
    for _ in texts:
        fixture.turn()
    assert heard(other) == [text.encode() for text in texts]


@pytest.mark.parametrize("character", ["x", "é", "😀", '"', "\x01"])
def test_a_turn_of_any_text_fits_into_an_outbox_that_holds_something(character: str) -> None:
    fixture = RoomFixture()
    author, slow = fixture.member(), fixture.member(rich=True)
    link_of(slow).room = 0
    slow.put(b"held\0")
    for _ in range(20):
        fixture.post(character * (65_536 // len(character.encode())), author)
    turn = fixture.begin()
    fixture.reach(2)
    assert slow.ending is None
    link_of(slow).take(None)
    let_run()
    assert len(heard(slow)) == 1 + turn.posts


# Joins and leaves during a turn


def test_a_member_that_leaves_during_a_turn_gets_no_more_of_it() -> None:
    fixture = RoomFixture()
    author, first, second = [fixture.member() for _ in range(3)]
    fixture.post("one", author)
    turn = fixture.begin()
    fixture.reach(2)
    for leaver in (first, second):
        fixture.room.remove(fixture.room.members[leaver])
    assert fixture.reach(2) == [turn]
    assert (heard(first), heard(second)) == ([b"one"], [])
    fixture.post("two", author)
    fixture.turn()
    assert (heard(first), heard(second)) == ([b"one"], [])


def test_a_new_member_that_is_up_to_date_gets_the_current_turn() -> None:
    fixture = RoomFixture()
    author = fixture.member(rich=True)
    fixture.member(rich=True)
    post = fixture.post("one", author)
    turn = fixture.begin()
    fixture.reach(1)
    late = fixture.member(rich=True)
    assert fixture.reach(1) == []
    assert fixture.reach(1) == [turn]
    assert heard(late) == [rich_frame(post)]
    next_post = fixture.post("two", author)
    fixture.turn()
    assert heard(late) == [rich_frame(post), rich_frame(next_post)]


def test_a_member_in_its_replay_is_no_recipient() -> None:
    fixture = RoomFixture()
    author = fixture.member()
    late = fixture.joining_member()
    fixture.post("one", author)
    fixture.turn()
    assert heard(late) == []


@pytest.mark.parametrize("reached", [0, 1, 2])
def test_a_member_that_rejoins_during_a_turn_gets_it_as_its_new_membership(
    reached: int,
) -> None:
    fixture = RoomFixture()
    author, mover, other = [fixture.member() for _ in range(3)]
    fixture.post("one", author)
    turn = fixture.begin()
    fixture.reach(reached)
    before = len(heard(mover))
    fixture.room.remove(fixture.room.members[mover])
    # It resumes from the position before this turn, so it has not received this turn.
    fixture.room.add(Member(mover, fixture.room))
    fixture.room.go_live(fixture.room.members[mover])
    while turn not in fixture.reach(1):
        pass
    assert (len(heard(mover)) - before, heard(other)) == (1, [b"one"])


def test_a_new_plain_member_gets_nothing_of_a_turn_without_posts() -> None:
    fixture = RoomFixture()
    fixture.member(rich=True)
    fixture.room.tell(Typing("lobby", "anna"))
    turn = fixture.begin()
    late = fixture.member()
    assert fixture.reach(5) == [turn]
    assert heard(late) == []


def test_a_turn_can_be_waited_for() -> None:
    fixture = RoomFixture()
    author = fixture.member()
    fixture.post("one", author)
    fixture.member()
    fixture.begin()
    waiting = gevent.spawn(fixture.room.after_turn, 5)
    let_run()
    fixture.reach(1)
    let_run()
    assert not waiting.ready()
    fixture.reach(1)
    waiting.get(timeout=20)
