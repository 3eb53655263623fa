"""A room: one order for all, one encoding per wire form, turns in slices."""

from collections import Counter
from typing import Any

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geventchat.protocol import events
from geventchat.protocol.events import Post, Typing
from geventchat.server.chat.room import TURN_BYTES, Member, Room
from geventchat.server.chat.turn import Pending, Turn
from geventchat.server.session.session import Session
from geventchat.server.wire import PLAIN
from tests.server.hub_harness import Harness, heard, link_of
from tests.server.switches import let_run, never_switches


class RoomFixture:
    """A room and its members."""

    def __init__(self, position: int = 0) -> None:
        self.harness = Harness()
        self.room = Room("lobby", position, "")
        self._position = position

    def joining_member(self, *, rich: bool = False) -> Session:
        """Add a member that is not live yet."""
        session = self.harness.session(rich=rich)
        self.room.add(Member(session, self.room))
        return session

    def member(self, *, rich: bool = False) -> Session:
        session = self.joining_member(rich=rich)
        self.room.go_live(self.room.members[session])
        return session

    def post(self, text: str, author: Session) -> Post:
        self._position += 1
        post = Post("lobby", self._position, author.nick, 0, text)
        author._unacknowledged += 1
        assert self.room.post(post, Pending(author, None, 0.0))
        return post

    def begin(self) -> Turn:
        turn = self.room.begin_turn()
        assert turn is not None
        return turn

    def put(self, turn: Turn, count: int) -> None:
        """Deliver the turn to the next `count` recipients."""
        with never_switches():
            for outbox in turn.put(count):
                outbox.flush()

    def turn(self) -> None:
        """Take a whole turn."""
        turn = self.begin()
        while not turn.done:
            self.put(turn, 2)
        self.room.end_turn(turn)


def rich_frame(post: Post) -> bytes:
    return events.encode(post)


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


# Turns


def test_a_room_with_nothing_new_has_no_turn() -> None:
    fixture = RoomFixture()
    fixture.member()
    assert fixture.room.begin_turn() is None


def test_posts_during_a_turn_wait_for_the_next() -> None:
    fixture = RoomFixture()
    author, other = fixture.member(), fixture.member()
    fixture.post("one", author)
    turn = fixture.begin()
    fixture.post("two", author)
    fixture.put(turn, 2)
    fixture.room.end_turn(turn)
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
    fixture.put(turn, 1)
    assert (fixture.room.position, turn.done) == (7, False)
    fixture.put(turn, 1)
    assert (fixture.room.position, turn.done) == (7, True)
    fixture.room.end_turn(turn)
    assert fixture.room.position == 9
    assert fixture.room.turn is None


def test_an_author_is_acknowledged_when_all_members_have_its_post() -> None:
    fixture = RoomFixture()
    author = fixture.member(rich=True)
    fixture.member(rich=True)
    fixture.post("one", author)
    fixture.post("two", author)
    turn = fixture.begin()
    fixture.put(turn, 2)
    assert author._unacknowledged == 2
    fixture.room.end_turn(turn)
    assert author._unacknowledged == 0


def test_a_turn_in_an_empty_room_is_done_at_once() -> None:
    fixture = RoomFixture()
    author = fixture.harness.session()
    fixture.post("one", author)
    turn = fixture.begin()
    assert turn.done
    fixture.room.end_turn(turn)
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
        fixture.put(turn, 2)
        fixture.room.end_turn(turn)
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
    fixture.put(turn, 2)
    assert slow.ending is None
    link_of(slow).take(None)
    let_run()
    assert len(heard(slow)) == 1 + turn.posts


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


# Joins and leaves during a turn


def test_a_member_that_leaves_during_a_turn_gets_no_more_of_it() -> None:
    fixture = RoomFixture()
    author, first, second = [fixture.member() for _ in range(3)]
    fixture.post("one", author)
    turn = fixture.begin()
    fixture.put(turn, 2)
    for leaver in (first, second):
        fixture.room.remove(fixture.room.members[leaver])
    fixture.put(turn, 2)
    fixture.room.end_turn(turn)
    assert (heard(first), heard(second)) == ([b"one"], [])
    fixture.post("two", author)
    fixture.turn()
    assert (heard(first), heard(second)) == ([b"one"], [])


def test_a_new_member_that_is_up_to_date_gets_the_current_turn() -> None:
    fixture = RoomFixture()
    author = fixture.member(rich=True)
    post = fixture.post("one", author)
    turn = fixture.begin()
    fixture.put(turn, 1)
    seemed_done = turn.done
    late = fixture.member(rich=True)
    was_done = turn.done
    fixture.put(turn, 1)
    assert (seemed_done, was_done, turn.done) == (True, False, True)
    fixture.room.end_turn(turn)
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


@pytest.mark.parametrize("reached", [0, 1, 2, 3])
def test_a_member_that_rejoins_during_a_turn_gets_it_as_its_new_membership(
    reached: int,
) -> None:
    fixture = RoomFixture()
    author, mover, other = [fixture.member() for _ in range(3)]
    fixture.post("one", author)
    turn = fixture.begin()
    fixture.put(turn, reached)
    before = len(heard(mover))
    fixture.room.remove(fixture.room.members[mover])
    # It resumes from the position before this turn, so it has not received this turn.
    fixture.room.add(Member(mover, fixture.room))
    fixture.room.go_live(fixture.room.members[mover])
    while not turn.done:
        fixture.put(turn, 1)
    fixture.room.end_turn(turn)
    assert (len(heard(mover)) - before, heard(other)) == (1, [b"one"])


def test_a_new_plain_member_gets_nothing_of_a_turn_without_posts() -> None:
    fixture = RoomFixture()
    fixture.member(rich=True)
    fixture.room.tell(Typing("lobby", "anna"))
    turn = fixture.begin()
    late = fixture.member()
    fixture.put(turn, 5)
    assert (turn.done, heard(late)) == (True, [])


def test_a_turn_can_be_waited_for() -> None:
    fixture = RoomFixture()
    author = fixture.member()
    fixture.post("one", author)
    turn = fixture.begin()
    waiting = gevent.spawn(fixture.room.after_turn, 5)
    let_run()
    fixture.put(turn, 1)
    let_run()
    assert not waiting.ready()
    with never_switches():
        fixture.room.end_turn(turn)
    waiting.get(timeout=5)


def test_a_room_knows_whether_anyone_rich_is_in_it() -> None:
    fixture = RoomFixture()
    rich = fixture.member(rich=True)
    fixture.member()
    assert fixture.room.rich_members == 1
    fixture.room.remove(fixture.room.members[rich])
    assert fixture.room.rich_members == 0
