"""A mark is confirmed when it is on disk, whoever moved it."""

from collections.abc import Sequence

import gevent
import pytest
from gevent.event import Event as Flag

from geventchat.protocol import events, requests
from geventchat.protocol.errors import Refused
from geventchat.protocol.events import Post
from geventchat.server.people import records
from geventchat.server.people.account import MEMBERSHIP, Membership
from geventchat.server.people.marks import COUNTED, CountedRecord
from geventchat.server.people.records import decoded
from geventchat.server.session import handlers
from geventchat.server.session.session import Session
from geventchat.server.timeline import RecordChange
from tests.server.hub_harness import Harness, account, connect, seen
from tests.server.switches import let_run


class Ann:
    """An account with two connections, three posts to read, and a disk that may fail or wait."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        harness = Harness()
        anna = account(harness, "anna")
        self.laptop = connect(harness, "laptop", anna)
        self.phone = connect(harness, "phone", anna)
        self.membership: Membership = anna.memberships["lobby"]
        harness.hub.people.marks.begin(self.membership, 0)
        for number in range(3):
            harness.say(self.laptop, f"post {number}")
        harness.timeline.store()
        harness.timeline.deliver_next()
        while harness.delivering:
            harness.slice()
        harness.hub.people.save()
        self.disk, self.failures, self.written = Flag(), 0, 0
        self.disk.set()
        self.kept: dict[tuple[str, str], bytes | None] = {}
        monkeypatch.setattr(harness.hub.people.records, "_keep", self._keep)
        monkeypatch.setattr(records, "_RETRY_SECONDS", 0.01)
        for each in (self.laptop, self.phone):
            seen(each)

    def _keep(self, changes: Sequence[RecordChange]) -> None:
        moved = self.membership.read
        self.disk.wait()
        if self.failures:
            self.failures -= 1
            raise Refused("storage", "The disk is full.")
        self.written = moved
        self.kept |= {(kind, number): value for kind, number, value in changes}

    def kept_membership(self, room: str) -> Membership:
        """Return the membership of a room as it is on disk."""
        account = self.membership.account
        value = self.kept[MEMBERSHIP, f"{account.id}/{room}"]
        return Membership.load(account, room, value or b"")


@pytest.fixture
def ann(monkeypatch: pytest.MonkeyPatch) -> Ann:
    return Ann(monkeypatch)


def read(session: Session, position: int) -> "gevent.Greenlet[[], None]":
    def answer() -> None:
        handlers.answer(session, requests.Read(room="lobby", position=position, id="1"))

    reading = gevent.spawn(answer)
    let_run()
    return reading


def told(session: Session) -> list[int]:
    """Return the positions of the marks that a connection was told since."""
    return [event.position for event in seen(session) if isinstance(event, events.Read)]


def test_a_mark_is_told_to_other_connections_if_the_one_that_moved_it_is_lost(ann: Ann) -> None:
    ann.disk.clear()
    reading = read(ann.laptop, 2)
    reading.kill()  # as a session is interrupted that ends
    assert told(ann.phone) == []
    ann.disk.set()
    let_run()
    assert (ann.written, told(ann.phone)) == (2, [2])


def test_a_mark_that_another_connection_moved_is_confirmed_when_it_is_on_disk(ann: Ann) -> None:
    ann.disk.clear()
    reading = [read(ann.laptop, 2), read(ann.phone, 2)]
    assert told(ann.laptop) + told(ann.phone) == []
    ann.disk.set()
    gevent.joinall(reading, timeout=30, raise_error=True)
    assert (ann.written, set(told(ann.laptop)), set(told(ann.phone))) == (2, {2}, {2})


def test_an_answer_tells_of_no_later_mark_that_is_not_on_disk(ann: Ann) -> None:
    ann.disk.clear()
    first = read(ann.laptop, 1)
    later = read(ann.phone, 3)
    ann.disk.set()
    ann.disk.clear()  # only the first write goes on
    let_run()
    assert ann.written == 1
    assert all(position == 1 for position in told(ann.laptop) + told(ann.phone))
    ann.disk.set()
    gevent.joinall([first, later], timeout=30, raise_error=True)
    assert (ann.written, told(ann.laptop)[-1], told(ann.phone)[-1]) == (3, 3, 3)


def test_a_mark_that_could_not_be_stored_is_not_confirmed_by_asking_again(ann: Ann) -> None:
    ann.failures = 1
    with pytest.raises(Refused):
        handlers.answer(ann.laptop, requests.Read(room="lobby", position=2))
    assert told(ann.laptop) == []
    read(ann.laptop, 2).get(timeout=20)
    assert (ann.written, told(ann.laptop)) == (2, [2])


def test_a_mark_that_begins_where_it_is_asked_for_is_confirmed_when_it_is_on_disk(ann: Ann) -> None:
    ann.membership.epoch = ""  # as of a member that joined when the room had no posts
    read(ann.laptop, 3).get(timeout=20)
    assert (ann.written, told(ann.laptop)) == (3, [3])


def test_a_mark_in_an_empty_room_begins_with_the_membership(ann: Ann) -> None:
    """Else it would begin anew after a kill, at the newest post: what came meanwhile as read."""
    handlers.answer(ann.laptop, requests.Join(room="attic"))
    handlers.answer(ann.laptop, requests.Create(room="plans"))
    for room in ("attic", "plans"):
        kept = ann.kept_membership(room)
        assert (kept.epoch, kept.read) == (ann.membership.epoch, 0)


def test_what_is_counted_up_to_a_position_is_on_disk_with_it(ann: Ann) -> None:
    """Else a mention that was counted behind it would be lost by a kill."""
    people = ann.laptop.hub.people
    people.marks.write()
    let_run()
    ann.disk.clear()
    people.records.note(ann.membership)
    let_run()  # the disk is busy when the next is to be written
    people.marks.count(Post("lobby", 4, "guest", 0, "hello"))
    people.marks.write()
    people.marks.count(Post("lobby", 5, "guest", 0, "hello anna"))
    ann.disk.set()
    let_run()
    counted = decoded(CountedRecord, ann.kept[COUNTED, "lobby"] or b"")
    assert counted.position == (5 if ann.kept_membership("lobby").mentions else 4)
    people.marks.write()
    let_run()
    assert decoded(CountedRecord, ann.kept[COUNTED, "lobby"] or b"").position == 5
    assert ann.kept_membership("lobby").mentions == [5]
