"""What a round of the event loop may cost: one budget for all delivery, the rest in steps."""

import time
from collections.abc import Iterator
from functools import partial
from itertools import pairwise

import gevent
import pytest
from gevent.monkey import get_original

from geventchat.protocol import events
from geventchat.protocol.events import Post
from geventchat.server.chat import delivery as delivery_module
from geventchat.server.chat.delivery import Delivery
from geventchat.server.chat.room import Member, Room
from geventchat.server.chat.turn import Pending
from geventchat.server.session.session import Session
from geventchat.server.timeline import Batch
from tests.server.hub_harness import Harness, heard, link_of, submitted
from tests.server.switches import let_run

_STEPS = 16
"""Members, or steps of errands, between two looks at the clock, as delivery has it."""


class OneRound:
    """A loop whose round goes on until the test begins another."""

    iteration = 1


@pytest.fixture
def thin_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make each slice end at the first check of the clock."""
    monkeypatch.setattr(delivery_module, "SLICE_SECONDS", -1.0)


def crowd(harness: Harness, count: int, name: str) -> tuple[Room, list[Session]]:
    """Return a room with that many plain members and one pending post."""
    room = Room(name, 0, "")
    members = [harness.session() for _ in range(count)]
    for each in members:
        room.add(Member(each, room))
        room.go_live(room.members[each])
    author = harness.session(rich=True)
    author._unacknowledged += 1
    room.post(Post(name, 1, "anna", 0, "one"), Pending(author, None, 0.0))
    return room, members


def house_of_one_round() -> tuple[Harness, OneRound]:
    harness, loop = Harness(), OneRound()
    harness.hub.delivery._loop = loop
    return harness, loop


@pytest.mark.usefixtures("thin_slices")
def test_all_work_of_one_round_shares_one_budget() -> None:
    """However many clients cause work in a round, their sum is bounded."""
    harness, loop = house_of_one_round()
    delivery = harness.hub.delivery
    rooms = [crowd(harness, _STEPS, str(number)) for number in range(50)]

    def reached() -> int:
        return sum(bool(link_of(each).offered) for _, members in rooms for each in members)

    for room, _ in rooms:
        delivery.add(room)
        delivery.work()
    assert reached() == _STEPS
    loop.iteration += 1
    for _ in range(50):
        delivery.work()
    assert reached() == 2 * _STEPS


@pytest.mark.usefixtures("thin_slices")
def test_what_one_round_has_no_time_for_is_done_in_the_next_ones() -> None:
    loop = OneRound()
    delivery = Delivery()
    delivery._loop = loop
    delivery.start()
    room, members = crowd(Harness(), 200, "lobby")
    delivery.add(room)
    delivery.work()
    with gevent.Timeout(20):
        while not delivery.idle:
            loop.iteration += 1
            gevent.sleep(0)
    assert [heard(each) for each in members] == [[b"one"]] * 200
    delivery.greenlet.kill()


@pytest.mark.usefixtures("thin_slices")
def test_the_verdicts_of_a_large_batch_are_given_in_steps() -> None:
    harness, loop = house_of_one_round()
    author = harness.session(rich=True)
    author.rooms = harness.hub.add(author)
    count = 500
    failed = [submitted(author, "x", key=str(number)).number for number in range(count)]
    harness.hub.submissions.deliver(Batch(failed=failed))
    counts = [len(heard(author))]
    while not harness.hub.delivery.idle:
        loop.iteration += 1
        harness.hub.submissions.deliver(Batch())
        counts.append(len(heard(author)))
    assert max(after - before for before, after in pairwise([0, *counts])) <= _STEPS
    answers = [events.decode(frame) for frame in heard(author)]
    keys = [answer.key for answer in answers if isinstance(answer, events.Error)]
    assert keys == [str(number) for number in range(count)]
    assert author._unacknowledged == 0


@pytest.mark.usefixtures("thin_slices")
def test_what_is_due_each_second_is_done_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    harness, loop = house_of_one_round()
    ticked: list[Session] = []
    monkeypatch.setattr(Session, "tick", lambda session, now: ticked.append(session))
    sessions = [harness.session() for _ in range(100)]
    for session in sessions:
        session.rooms = harness.hub.add(session)
    counts = [0]
    harness.hub.tick(time.monotonic())
    counts.append(len(ticked))
    while not harness.hub.delivery.idle:
        loop.iteration += 1
        harness.hub.delivery.work()
        counts.append(len(ticked))
    assert max(after - before for before, after in pairwise(counts)) <= _STEPS
    assert ticked == sessions


@pytest.mark.usefixtures("thin_slices")
def test_what_is_due_is_not_begun_again_before_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    harness, loop = house_of_one_round()
    ticked: list[Session] = []
    monkeypatch.setattr(Session, "tick", lambda session, now: ticked.append(session))
    for _ in range(100):
        session = harness.session()
        session.rooms = harness.hub.add(session)
    for _ in range(2):
        ticked.clear()
        for _ in range(3):
            harness.hub.tick(time.monotonic())
        while not harness.hub.delivery.idle:
            loop.iteration += 1
            harness.hub.delivery.work()
        assert len(ticked) == 100


def test_a_bug_in_the_clock_of_one_session_does_not_skip_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    harness = Harness()
    sessions = [harness.session() for _ in range(5)]
    for session in sessions:
        session.rooms = harness.hub.add(session)
    ticked: list[Session] = []

    def tick(session: Session, now: float) -> None:
        ticked.append(session)
        if session is sessions[1]:
            raise ValueError("a bug of ours")

    monkeypatch.setattr(Session, "tick", tick)
    harness.hub.tick(time.monotonic())
    while harness.delivering:
        harness.slice()
    assert ticked == sessions
    assert caplog.text.count("ValueError: a bug of ours") == 1


def test_an_errand_with_a_bug_ends_alone(caplog: pytest.LogCaptureFixture) -> None:
    harness = Harness()
    done: list[int] = []

    def errand(number: int) -> Iterator[None]:
        for step in range(50):
            if number == 1 and step == 20:
                raise ValueError("a bug of ours")
            yield
        done.append(number)

    for number in range(3):
        harness.hub.delivery.errand(errand(number))
    while harness.delivering:
        harness.slice()
    assert sorted(done) == [0, 2]
    assert caplog.text.count("ValueError: a bug of ours") == 1


def test_an_errand_may_give_rooms_something_to_say() -> None:
    """What it says is heard in the same way as if a client had said it."""
    harness = Harness()
    room, [member] = crowd(harness, 1, "lobby")

    def errand() -> Iterator[None]:
        harness.hub.delivery.add(room)
        harness.hub.delivery.work()
        yield

    harness.hub.delivery.errand(errand())
    while harness.delivering:
        harness.slice()
    assert heard(member) == [b"one"]


def test_a_blocked_event_loop_shows_in_its_lag() -> None:
    """The one test here that takes a second: what is measured is the real clock."""
    harness = Harness()
    harness.hub.start()
    try:
        let_run()
        gevent.spawn(partial(get_original("time", "sleep"), 0.4)).join()
        with gevent.Timeout(20):
            while len(harness.hub.clock.delays) == 1:
                gevent.sleep(0.01)
        assert 0.3 <= max(harness.hub.clock.delays) < 60
    finally:
        harness.hub.stop()
