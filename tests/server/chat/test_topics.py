"""Topics in a turn: only the newest is told, every setter is answered, and the price is linear."""

import pytest

from geventchat.protocol import events
from geventchat.protocol.events import Topic, Typing
from geventchat.server.chat import turn as turn_module
from geventchat.server.chat.room import Member, Room
from geventchat.server.chat.turn import Pending
from geventchat.server.session.session import Session
from geventchat.server.transport.outbox import Outbox
from tests.server.hub_harness import Harness, heard, link_of


class Recorder(Outbox):
    """An outbox that only remembers what was put."""

    def __init__(self) -> None:
        super().__init__(link_of(Harness().session()), 1 << 20, lambda reason: None)
        self.items: list[bytes | memoryview] = []

    def put(self, item: bytes | memoryview) -> None:
        self.items.append(item)

    send = put

    def flush(self) -> None:
        """Do nothing: it is not sent."""

    @property
    def frames(self) -> list[bytes]:
        return b"".join(self.items).split(b"\0")[:-1]


class Place:
    """A room of rich members whose outboxes remember what was put."""

    def __init__(self, count: int) -> None:
        self.harness = Harness()
        self.room = Room("lobby", 0, "")
        self.members = [self._member() for _ in range(count)]

    def _member(self) -> Session:
        session = self.harness.session(rich=True)
        session.outbox = Recorder()
        self.room.add(Member(session, self.room))
        self.room.go_live(self.room.members[session])
        return session

    def set_topic(self, author: Session, topic: str, request_id: str | None = None) -> None:
        author._unacknowledged += 1
        entry = Topic(room="lobby", topic=topic, by=f"m{self.members.index(author)}")
        assert self.room.post(entry, Pending(author, request_id, 0.0))

    def turn(self) -> None:
        turn = self.room.begin_turn()
        assert turn is not None
        while turn not in self.room.reach(10):
            pass


def put(session: Session) -> Recorder:
    assert isinstance(session.outbox, Recorder)
    return session.outbox


def copied(members: list[Session]) -> int:
    """Return the number of bytes put, with shared objects counted once."""
    sizes: dict[int, int] = {}
    for member in members:
        for item in put(member).items:
            whole = memoryview(item).obj
            sizes[id(whole)] = memoryview(whole).nbytes
    return sum(sizes.values())


def test_only_the_newest_topic_of_a_turn_is_told_and_every_setter_is_answered_with_it() -> None:
    place = Place(4)
    ann, bob, eve, listener = place.members
    place.set_topic(ann, "tea", "a")
    place.set_topic(bob, "cake", "b")
    place.set_topic(eve, "jam")
    place.set_topic(ann, "milk", "c")
    place.turn()
    newest = Topic(room="lobby", topic="milk", by="m0")

    def told(session: Session) -> list[tuple[str, str, str | None]]:
        found = [events.decode(frame) for frame in put(session).frames]
        return [(each.topic, each.by, each.id) for each in found if isinstance(each, Topic)]

    assert told(listener) == [("milk", "m0", None)]
    assert told(ann) == [("milk", "m0", "a"), ("milk", "m0", "c")]
    assert told(bob) == [("milk", "m0", "b")]
    assert told(eve) == [("milk", "m0", None)]
    assert (place.room.topic, place.room.topic_by) == (newest.topic, newest.by)
    assert [each._unacknowledged for each in place.members] == [0] * 4


def test_a_setter_that_turns_do_not_reach_is_answered_all_the_same() -> None:
    place = Place(1)
    ann = place.members[0]
    late = place.harness.session(rich=True)
    place.room.add(Member(late, place.room))
    place.members.append(late)
    place.set_topic(late, "tea", "a")
    place.set_topic(ann, "milk", "b")
    place.turn()
    answer = Topic(room="lobby", topic="milk", by="m0", id="a")
    assert [events.decode(frame) for frame in heard(late)] == [answer]


@pytest.mark.parametrize("count", [64, 256, 1_024])
def test_the_topics_of_many_setters_in_one_turn_cost_no_more_than_their_sum(count: int) -> None:
    """500 setters took 2.3 s and 800 MB when each was encoded for each."""
    place = Place(count)
    for number, member in enumerate(place.members):
        place.set_topic(member, "x" * 500, str(number))
    place.turn()
    assert copied(place.members) < 700 * count
    assert all(len(put(each).frames) == 1 for each in place.members)


@pytest.mark.parametrize("count", [64, 256, 1_024])
def test_many_who_do_not_hear_their_own_events_share_what_they_hear(count: int) -> None:
    place = Place(count)
    for number, member in enumerate(place.members):
        place.room.tell(Typing("lobby", f"{number:>32}"), member)
    place.turn()
    one = len(events.encode(Typing("lobby", " " * 32))) + 1
    if count * one > turn_module._JOINED_BYTES:
        assert copied(place.members) == count * one
    for number in (0, count // 2, count - 1):
        nicks = [f"{other:>32}" for other in range(count) if other != number]
        told = [events.decode(frame) for frame in put(place.members[number]).frames]
        assert told == [Typing("lobby", nick) for nick in nicks]
