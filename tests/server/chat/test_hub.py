"""The hub: sessions, rooms, and delivery of batches."""

import gc

import pytest

from geventchat.protocol import events
from geventchat.protocol.errors import KICKED, QUIT, Refused
from geventchat.protocol.events import Post
from geventchat.server.session.session import Session
from geventchat.server.timeline import Batch, Submission
from tests.server.hub_harness import (
    Harness,
    forget,
    heard,
    link_of,
    plain,
    rich,
    seen,
    submitted,
)
from tests.server.switches import let_run, never_switches


@pytest.fixture
def harness() -> Harness:
    return Harness()


def said(session: Session, text: str, room: str = "lobby", key: str | None = None) -> Submission:
    return submitted(session, text, room, key)


def batch(*posts: Submission, first: int = 1) -> Batch:
    positions = enumerate(posts, start=first)
    return Batch(
        [
            (Post(each.room, position, each.author, 0, each.text, each.key), each.number)
            for position, each in positions
        ]
    )


def deliver(harness: Harness, what: Batch) -> None:
    with never_switches():
        harness.hub.submissions.deliver(what)


# Batches


def test_a_batch_reaches_exactly_the_members_of_its_rooms(harness: Harness) -> None:
    anna, bert = rich(harness, "anna", "attic"), rich(harness, "bert", "attic", "cellar")
    carl, guest = rich(harness, "carl", "cellar"), plain(harness)
    forget(anna, bert, carl)
    deliver(harness, batch(said(anna, "up", "attic")))
    deliver(harness, batch(said(carl, "down", "cellar")))
    deliver(harness, batch(said(guest, "hall")))
    up, down = Post("attic", 1, "anna", 0, "up"), Post("cellar", 1, "carl", 0, "down")
    assert (seen(anna), seen(bert), seen(carl)) == ([up], [up, down], [down])
    assert heard(guest) == []


def test_posts_are_delivered_in_timeline_order(harness: Harness) -> None:
    anna, guest = rich(harness, "anna"), plain(harness)
    deliver(harness, batch(*[said(anna, str(number)) for number in range(100)]))
    assert heard(guest) == [b"%d" % number for number in range(100)]
    assert [post.position for post in seen(anna) if isinstance(post, Post)] == list(range(1, 101))


def test_every_author_has_its_verdict_once_the_batch_is_delivered(harness: Harness) -> None:
    anna = rich(harness, "anna")
    here, away = said(anna, "here"), said(anna, "away", "empty")
    again, other, lost = (said(anna, text, key=text) for text in ("again", "other", "lost"))
    what = batch(here, away)
    what.repeated, what.conflicts = [(again.number, 7)], [other.number]
    what.failed = [lost.number]
    deliver(harness, what)
    assert anna._unacknowledged == 0
    away_too, sent, conflict, failure, post = seen(anna)
    assert isinstance(away_too, events.Sent)
    assert away_too.room == "empty"
    assert sent == events.Sent(room="lobby", key="again", position=7)
    assert isinstance(conflict, events.Error)
    assert (conflict.code, conflict.key, conflict.room) == ("key_conflict", "other", "lobby")
    assert isinstance(failure, events.Error)
    assert (failure.code, failure.key, failure.room) == ("storage", "lost", "lobby")
    assert isinstance(post, Post)


def test_a_plain_author_whose_message_was_not_stored_gets_a_line(harness: Harness) -> None:
    guest, other = plain(harness), plain(harness)
    deliver(harness, Batch(failed=[said(guest, "lost").number]))
    [line] = heard(guest)
    assert line.startswith(b"* geventchat: ")
    assert (guest._unacknowledged, heard(other)) == (0, [])


def test_delivering_never_switches_whatever_the_members_do(harness: Harness) -> None:
    people = [rich(harness, f"nick{number}") for number in range(20)]
    guests = [plain(harness) for _ in range(20)]
    for each in (*people[::3], *guests[::3]):
        link_of(each).room = 10
    for each in (*people[1::3], *guests[1::3]):
        link_of(each).lose()
    for turn in range(5):
        said_now = [said(each, f"text {turn}") for each in (*people, *guests)]
        deliver(harness, batch(*said_now, first=40 * turn + 1))
    let_run()
    assert len(heard(guests[2])) == 5 * 39


def test_a_post_stored_before_the_room_was_opened_is_not_delivered_twice(harness: Harness) -> None:
    timeline = harness.timeline
    anna = rich(harness, "anna", "attic")
    timeline.append(said(anna, "one", "attic"))
    timeline.store()
    harness.hub.leave(anna.rooms["attic"])
    bert = rich(harness, "bert", "attic")
    assert bert.rooms["attic"].room.position == 1
    timeline.deliver_next()
    assert seen(bert) == []
    assert anna._unacknowledged == 0
    timeline.append(said(bert, "two", "attic"))
    timeline.store()
    timeline.deliver_next()
    [post] = seen(bert)
    assert isinstance(post, Post)
    assert (post.position, post.text) == (2, "two")


def test_an_empty_room_is_forgotten_and_reopened_at_its_position(
    harness: Harness,
) -> None:
    anna = rich(harness, "anna", "attic")
    harness.timeline.append(said(anna, "one", "attic"))
    harness.timeline.store()
    harness.timeline.deliver_next()
    harness.set_topic(anna, "tea", "attic")
    harness.timeline.store()
    harness.timeline.deliver_next()
    harness.hub.leave(anna.rooms["attic"])
    member = harness.hub.join(anna, "attic")
    assert (member.room.position, member.room.topic, member.room.count) == (1, "tea", 1)


def test_an_event_is_delivered_at_once(harness: Harness) -> None:
    anna, bert = rich(harness, "anna"), rich(harness, "bert")
    forget(anna)
    with never_switches():
        harness.hub.tell(anna.rooms["lobby"].room, events.Typing("lobby", "bert"), bert)
    assert (seen(anna), seen(bert)) == ([events.Typing("lobby", "bert")], [])


# Rooms


def test_a_client_cannot_join_more_rooms_than_the_limit() -> None:
    harness = Harness(rooms_per_client=2)
    anna = rich(harness, "anna", "one", "two")
    with pytest.raises(Refused) as refused:
        harness.hub.join(anna, "three")
    assert (refused.value.code, refused.value.room) == ("too_many_rooms", "three")
    harness.hub.leave(anna.rooms["one"])
    harness.hub.join(anna, "three")


def test_the_room_limit_never_excludes_the_lobby() -> None:
    harness = Harness(rooms=2)
    anna = rich(harness, "anna", "one", "two")
    with pytest.raises(Refused) as refused:
        harness.hub.join(anna, "three")
    assert refused.value.code == "too_many_rooms"
    plain(harness)
    harness.hub.join(rich(harness, "bert", "one"), "two")


def test_a_member_that_left_hears_nothing_more_from_the_room(harness: Harness) -> None:
    anna, bert = rich(harness, "anna", "attic"), rich(harness, "bert", "attic")
    harness.hub.leave(anna.rooms["attic"])
    forget(anna)
    deliver(harness, batch(said(bert, "one", "attic")))
    assert seen(anna) == []


# Their end


def test_a_departed_session_is_not_kept_alive(harness: Harness) -> None:
    """Thousands may connect and leave within a second."""
    guest = plain(harness)
    harness.hub.remove(guest, QUIT)
    was = id(guest)
    del guest
    gc.collect()
    assert was not in [id(each) for each in gc.get_objects() if isinstance(each, Session)]


def test_end_all_ends_every_session(harness: Harness) -> None:
    sessions = [plain(harness), rich(harness, "anna")]
    harness.hub.end_all(KICKED)
    assert [each.ending for each in sessions] == [KICKED, KICKED]


def test_departed_sessions_leave_nothing_behind(harness: Harness) -> None:
    sessions = [plain(harness), rich(harness, "anna", "attic"), rich(harness, "bert")]
    for each in sessions:
        harness.hub.remove(each, QUIT)
    hub = harness.hub
    for kept in (hub.sessions, hub.rooms, hub.owners.clients, hub.owners.nicks._owners):
        assert not kept
