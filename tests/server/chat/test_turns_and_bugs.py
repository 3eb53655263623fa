"""Our own bugs in a turn: each ends the one member that it met, and all others hear the turn."""

import gevent
import pytest

from geventchat.protocol.events import Post
from geventchat.server.chat import room as room_module
from geventchat.server.chat.delivery import Delivery
from geventchat.server.chat.room import Member, Room
from geventchat.server.chat.turn import Pending
from geventchat.server.session.session import Session
from geventchat.server.transport.outbox import Outbox
from tests.server.hub_harness import Harness, heard, link_of, with_time
from tests.server.switches import let_run


class Broken(Outbox):
    """An outbox with a bug."""

    def send(self, item: bytes | memoryview) -> None:
        raise ValueError("a bug of ours")


class Place:
    """A room of rich members, and a delivery that works when it is told to."""

    def __init__(self, count: int) -> None:
        harness = Harness()
        self.room = Room("lobby", 0, "")
        self.members = [harness.session(rich=True) for _ in range(count)]
        for each in self.members:
            self.room.add(Member(each, self.room))
            self.room.go_live(self.room.members[each])
        self.delivery = with_time(Delivery())

    def post(self, text: str) -> Session:
        """Post as the first member; return the post."""
        author = self.members[0]
        author._unacknowledged += 1
        post = Post("lobby", self.room.newest + 1, "anna", 0, text)
        assert self.room.post(post, Pending(author, None, 0.0))
        return author

    def deliver(self) -> None:
        self.delivery.add(self.room)
        self.delivery.work()
        while not self.delivery.idle:
            self.delivery.work()


def code(session: Session) -> str | None:
    return session.ending.code if session.ending is not None else None


def test_a_bug_with_one_member_ends_that_member_and_the_others_hear_the_turn(
    caplog: pytest.LogCaptureFixture,
) -> None:
    place = Place(200)
    unlucky = place.members[70]
    place.room.members[unlucky].outbox = Broken(link_of(unlucky), 1 << 20, unlucky.end)
    author = place.post("one")
    place.deliver()
    others = [each for each in place.members if each is not unlucky]
    assert all(len(heard(each)) == 1 for each in others)
    assert (code(unlucky), {code(each) for each in others}) == ("internal", {None})
    assert (place.room.position, author._unacknowledged) == (1, 0)
    assert caplog.text.count("ValueError: a bug of ours") == 1


def test_a_bug_in_sending_to_one_client_ends_that_client_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    place = Place(200)
    unlucky = place.members[70]
    monkeypatch.setattr(link_of(unlucky), "_take", None)  # not callable: no OSError
    author = place.post("one")
    place.deliver()
    others = [each for each in place.members if each is not unlucky]
    assert all(len(heard(each)) == 1 for each in others)
    assert (code(unlucky), {code(each) for each in others}) == ("internal", {None})
    assert author._unacknowledged == 0
    assert "sending to a client failed" in caplog.text


def test_a_turn_that_cannot_be_made_wakes_whoever_waits_for_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its authors are acknowledged, and the room goes on behind it."""
    place = Place(2)
    waiting = gevent.spawn(place.room.after_turn, 5)
    let_run()
    author = place.post("one")
    with monkeypatch.context() as broken:
        broken.setattr(room_module, "Turn", None)
        place.deliver()
    assert waiting.get(timeout=20) is True
    assert (author._unacknowledged, place.room.position) == (0, 1)
    assert "a turn of the room 'lobby' failed" in caplog.text
    place.post("two")
    place.deliver()
    assert [len(heard(each)) for each in place.members] == [1, 1]


def test_whoever_waits_for_a_turn_does_not_wait_without_an_end() -> None:
    room = Place(1).room
    with gevent.Timeout(20):
        assert not room.after_turn(0.001)
