"""Delivery: short slices, rooms in rotation, and no delay by a large room."""

from collections.abc import Iterator

import gevent
import pytest
from gevent.event import Event

from geventchat.protocol.events import Post
from geventchat.server.chat import delivery as delivery_module
from geventchat.server.chat.delivery import Delivery
from geventchat.server.chat.room import Member, Room
from geventchat.server.chat.turn import Pending
from geventchat.server.session.session import Session
from geventchat.server.slices import RoundBudget
from tests.server.hub_harness import Harness, heard, link_of, with_time
from tests.server.switches import let_run, never_switches


@pytest.fixture
def thin_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make each slice end at the first check of the clock."""
    monkeypatch.setattr(delivery_module, "SLICE_SECONDS", -1.0)


@pytest.fixture
def delivery() -> Iterator[Delivery]:
    delivery = with_time(Delivery())
    delivery.start()
    yield delivery
    delivery.greenlet.kill()


def crowd(count: int, name: str = "lobby") -> tuple[Room, list[Session]]:
    """Return a room with that many plain members."""
    harness = Harness()
    room = Room(name, 0, "")
    members = [harness.session() for _ in range(count)]
    for each in members:
        room.add(Member(each, room))
        room.go_live(room.members[each])
    return room, members


def post(room: Room, text: str) -> None:
    author = Harness().session(rich=True)
    author._unacknowledged += 1
    assert room.post(Post(room.name, room.newest + 1, "anna", 0, text), Pending(author, None, 0.0))


def busy(delivery: Delivery) -> bool:
    return not delivery.idle


def deliver_all(delivery: Delivery) -> None:
    """Deliver everything; on a busy machine that takes more than one slice."""
    delivery.work()
    while busy(delivery):
        delivery.work()


def reached(members: list[Session]) -> int:
    return sum(bool(link_of(each).offered) for each in members)


def test_a_turn_that_fits_in_a_slice_is_delivered_at_once(delivery: Delivery) -> None:
    room, members = crowd(10)
    post(room, "one")
    with never_switches():
        delivery.add(room)
        deliver_all(delivery)
    assert [heard(each) for each in members] == [[b"one"]] * 10
    assert (room.position, room.busy) == (1, False)


def test_a_room_takes_turns_until_nothing_is_pending(delivery: Delivery) -> None:
    room, [member] = crowd(1)
    for text in ("one", "two"):
        post(room, text)
        delivery.add(room)
    deliver_all(delivery)
    post(room, "three")
    delivery.add(room)
    deliver_all(delivery)
    assert heard(member) == [b"one", b"two", b"three"]


def test_a_room_with_nothing_pending_takes_no_turn(delivery: Delivery) -> None:
    room, _ = crowd(3)
    delivery.add(room)
    deliver_all(delivery)
    assert not room.busy


@pytest.mark.usefixtures("thin_slices")
def test_a_large_room_is_delivered_to_in_slices() -> None:
    delivery = with_time(Delivery())  # not started: it works only when called
    room, members = crowd(1_000)
    post(room, "one")
    delivery.add(room)
    counts = []
    while busy(delivery):
        with never_switches():
            delivery.work()
        counts.append(reached(members))
    assert counts[0] < 100
    assert len(counts) > 10
    assert counts == sorted(counts)
    assert [heard(each) for each in members] == [[b"one"]] * 1_000


@pytest.mark.usefixtures("thin_slices")
def test_a_small_room_does_not_wait_for_a_large_one() -> None:
    delivery = with_time(Delivery())
    large, many = crowd(1_000, "large")
    small, few = crowd(3, "small")
    for room in (large, small):
        post(room, "one")
        delivery.add(room)
    while reached(few) < 3:
        delivery.work()
    assert reached(many) < 200


def test_large_rooms_wait_while_writers_do_and_small_ones_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is put into outboxes that are not being emptied would only make their clients slow."""
    writers = RoundBudget()
    writers._queue.append(Event())
    monkeypatch.setattr(delivery_module, "WRITERS", writers)
    delivery = with_time(Delivery())
    large, its_members = crowd(1_000)
    small, few = crowd(3, "small")
    for room in large, small:
        post(room, "one")
        delivery.add(room)
    delivery.work()
    assert reached(few) == 3
    assert reached(its_members) == 0
    assert busy(delivery)
    writers._queue.clear()
    deliver_all(delivery)
    assert reached(its_members) == 1_000


@pytest.mark.usefixtures("thin_slices")
def test_large_rooms_alternate() -> None:
    delivery = with_time(Delivery())
    rooms = [crowd(300, str(number)) for number in range(4)]
    for room, _ in rooms:
        post(room, "one")
        delivery.add(room)
    while any(room.busy for room, _ in rooms):
        delivery.work()
        counts = [reached(members) for _, members in rooms]
        assert max(counts) - min(counts) <= 128


@pytest.mark.usefixtures("thin_slices")
def test_the_rest_is_delivered_in_slices_that_let_others_run(delivery: Delivery) -> None:
    room, members = crowd(1_000)
    post(room, "one")
    seen: set[int] = set()

    def look() -> None:
        while busy(delivery):
            seen.add(reached(members))
            gevent.sleep(0)

    delivery.add(room)
    delivery.work()
    assert busy(delivery)
    bystander = gevent.spawn(look)
    bystander.get(timeout=20)
    assert len(seen) > 10
    assert reached(members) == 1_000


@pytest.mark.usefixtures("thin_slices")
def test_delivery_starts_again_after_it_was_idle(delivery: Delivery) -> None:
    room, members = crowd(100)
    for count in range(1, 4):
        post(room, str(count))
        delivery.add(room)
        delivery.work()
        with gevent.Timeout(20):
            while busy(delivery):
                gevent.sleep(0)
        assert room.position == count
    assert [heard(each) for each in members] == [[b"1", b"2", b"3"]] * 100


@pytest.mark.usefixtures("thin_slices")
def test_posts_during_a_turn_are_delivered_after_it() -> None:
    delivery = with_time(Delivery())
    room, members = crowd(100)
    for count in range(1, 6):
        post(room, str(count))
        delivery.add(room)
        delivery.work()
    while busy(delivery):
        delivery.work()
    assert [heard(each) for each in members] == [[b"1", b"2", b"3", b"4", b"5"]] * 100


def test_members_who_read_nothing_do_not_delay_others(delivery: Delivery) -> None:
    room, members = crowd(20)
    for each in members[::2]:
        link_of(each).room = 0
    post(room, "one")
    delivery.add(room)
    with never_switches():
        deliver_all(delivery)
    assert room.position == 1
    assert [heard(each) for each in members[1::2]] == [[b"one"]] * 10
    for each in members[::2]:
        link_of(each).take(None)
    let_run()
    assert [heard(each) for each in members[::2]] == [[b"one"]] * 10


def test_lost_members_do_not_delay_others(delivery: Delivery) -> None:
    room, members = crowd(20)
    for each in members[::2]:
        link_of(each).lose()
    post(room, "one")
    delivery.add(room)
    deliver_all(delivery)
    assert [heard(each) for each in members[1::2]] == [[b"one"]] * 10
    assert all(each.ending is not None for each in members[::2])


def test_a_failed_turn_stops_neither_its_room_nor_the_others(
    delivery: Delivery, caplog: pytest.LogCaptureFixture
) -> None:
    broken, [one] = crowd(1, "broken")
    sound, [other] = crowd(1, "sound")
    post(broken, "\ud800")  # not valid text, and cannot be encoded
    post(sound, "one")
    for room in (broken, sound):
        delivery.add(room)
    deliver_all(delivery)
    assert heard(other) == [b"one"]
    assert "broken" in caplog.text
    post(broken, "two")
    delivery.add(broken)
    deliver_all(delivery)
    assert heard(one) == [b"two"]
