"""The hub: sessions and nicks, presence, and delivery of batches."""

import gc
import hashlib

import pytest

from geventchat.protocol import events
from geventchat.protocol.errors import KICKED, LOST, QUIT, REPLACED, SLOW, Refused
from geventchat.protocol.events import Event, Post, Presence
from geventchat.server.chat import presence
from geventchat.server.chat.away import Away
from geventchat.server.session.session import Session
from geventchat.server.timeline import Batch, Submission
from geventchat.server.wire import JSON
from tests.server.hub_harness import Harness, heard, link_of, submitted
from tests.server.switches import let_run, never_switches


@pytest.fixture
def harness() -> Harness:
    return Harness()


def plain(harness: Harness) -> Session:
    """Connect a plain client."""
    session = harness.session()
    with never_switches():
        session.rooms = harness.hub.add(session)
    return session


def rich(harness: Harness, nick: str, *rooms: str, client: str | None = None) -> Session:
    """Connect a rich client that is live in its rooms."""
    session = plain(harness)
    with never_switches():
        harness.hub.authenticate(session, hashlib.blake2b((client or nick).encode()).digest(), JSON)
        if nick and session.nick != nick:
            harness.hub.rename(session, nick)
        for room in rooms or ("lobby",):
            harness.hub.go_live(harness.hub.join(session, room))
        harness.hub.finish_resume(session)
    forget(session)
    return session


def forget(*sessions: Session) -> None:
    for session in sessions:
        link_of(session).taken.clear()


def seen(session: Session) -> list[Event]:
    """Return the events that a rich session received since the last call."""
    found = [events.decode(frame) for frame in heard(session)]
    forget(session)
    return [event for event in found if event is not None]


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


# Presence


def test_an_event_is_delivered_at_once(harness: Harness) -> None:
    anna, bert = rich(harness, "anna"), rich(harness, "bert")
    forget(anna)
    with never_switches():
        harness.hub.tell(anna.rooms["lobby"].room, events.Typing("lobby", "bert"), bert)
    assert (seen(anna), seen(bert)) == ([events.Typing("lobby", "bert")], [])


def test_the_join_and_leave_of_a_rich_member_are_announced(harness: Harness) -> None:
    anna = rich(harness, "anna")
    bert = rich(harness, "bert")
    assert seen(anna) == [Presence(room="lobby", nick="bert", event="join")]
    assert seen(bert) == []
    harness.hub.leave(bert.rooms["lobby"])
    assert seen(anna) == [Presence(room="lobby", nick="bert", event="leave")]
    assert anna.rooms["lobby"].room.count == 1


def test_the_join_of_a_plain_member_is_announced_once(harness: Harness) -> None:
    anna, guest = rich(harness, "anna"), plain(harness)
    room = anna.rooms["lobby"].room
    assert (seen(anna), room.count) == ([], 1)
    for _ in range(2):
        harness.hub.announce(guest.rooms["lobby"])
    harness.slice()
    assert seen(anna) == [Presence(room="lobby", nick=guest.nick, event="join")]
    assert room.count == 2
    harness.hub.remove(guest, LOST)
    assert seen(anna) == [Presence(room="lobby", nick=guest.nick, event="leave")]
    assert room.count == 1


def test_a_departed_session_is_not_kept_alive(harness: Harness) -> None:
    """Thousands may connect and leave within a second."""
    guest = plain(harness)
    harness.hub.remove(guest, QUIT)
    was = id(guest)
    del guest
    gc.collect()
    assert was not in [id(each) for each in gc.get_objects() if isinstance(each, Session)]


def test_an_unannounced_plain_member_leaves_silently(harness: Harness) -> None:
    anna, guest = rich(harness, "anna"), plain(harness)
    member = guest.rooms["lobby"]
    harness.hub.remove(guest, LOST)
    harness.hub.announce(member)
    harness.slice()
    assert seen(anna) == []


def test_a_rename_is_announced_in_every_room_of_its_owner(harness: Harness) -> None:
    anna = rich(harness, "anna", "attic", "cellar")
    bert, carl = rich(harness, "bert", "attic"), rich(harness, "carl", "cellar")
    forget(anna, bert)
    assert harness.hub.rename(anna, "Hanna") == "Hanna"
    for other, room in ((bert, "attic"), (carl, "cellar")):
        assert seen(other) == [Presence(room=room, nick="anna", event="rename", new_nick="Hanna")]
    assert harness.hub.owners.find_rich("hanna") is anna
    assert rich(harness, "anna").nick == "anna"


def test_the_console_shows_who_is_who(harness: Harness) -> None:
    ann = rich(harness, "ann")
    guest, _ = harness.console.nicks.pop()
    harness.hub.remove(ann, LOST)
    back = rich(harness, "", client="ann")
    harness.hub.rename(back, "anna")
    assert guest.startswith("guest-")
    assert harness.console.nicks[0][0].startswith("guest-")  # the name under which it reconnected
    assert [nick for _, nick in harness.console.nicks] == ["ann", "anna"]


def test_a_drop_is_not_announced_while_the_nick_is_held(harness: Harness) -> None:
    anna, bert = rich(harness, "anna"), rich(harness, "bert")
    forget(anna)
    room = anna.rooms["lobby"].room
    harness.hub.remove(bert, LOST)
    assert (seen(anna), room.count) == ([], 2)
    with pytest.raises(Refused):
        harness.hub.owners.find_rich("bert")
    back = rich(harness, "", client="bert")
    assert (back.nick, seen(anna), room.count) == ("bert", [], 2)
    assert harness.hub.owners.find_rich("bert") is back


def test_a_held_nick_cannot_be_taken(harness: Harness) -> None:
    bert = rich(harness, "bert")
    harness.hub.remove(bert, SLOW)
    with pytest.raises(Refused) as refused:
        harness.hub.rename(rich(harness, "anna"), "bert")
    assert refused.value.code == "nick_in_use"


def test_a_bye_is_announced_at_once_and_frees_the_nick(harness: Harness) -> None:
    for reason in (QUIT, KICKED):
        anna, bert = rich(harness, "anna"), rich(harness, "bert")
        forget(anna)
        harness.hub.remove(bert, reason)
        assert seen(anna) == [Presence(room="lobby", nick="bert", event="leave")]
        assert harness.hub.rename(anna, "bert") == "bert"
        harness.hub.remove(anna, QUIT)


def test_when_a_hold_ends_the_leave_is_announced_and_the_nick_is_free(harness: Harness) -> None:
    anna, bert = rich(harness, "anna"), rich(harness, "bert")
    forget(anna)
    harness.hub.remove(bert, LOST)
    away = harness.hub.owners.clients[bert.client]
    assert isinstance(away, Away)
    harness.hub.tick(away.until - 0.001)
    assert seen(anna) == []
    harness.hub.tick(away.until)
    assert seen(anna) == [Presence(room="lobby", nick="bert", event="leave")]
    assert anna.rooms["lobby"].room.count == 1
    assert harness.hub.rename(anna, "bert") == "bert"


def test_a_returning_client_leaves_the_rooms_it_does_not_rejoin(harness: Harness) -> None:
    anna = rich(harness, "anna", "attic", "cellar")
    bert = rich(harness, "bert", "attic", "cellar")
    forget(anna)
    harness.hub.remove(bert, LOST)
    rich(harness, "", "attic", client="bert")
    assert seen(anna) == [Presence(room="cellar", nick="bert", event="leave")]


def test_whoever_hears_of_a_rename_hears_of_the_leave_that_followed(harness: Harness) -> None:
    """The leave was dropped, as there was nobody to hear it before the next one came."""
    bob = rich(harness, "Bob")
    room = harness.hub.rooms["lobby"]
    keeper = plain(harness)
    room.busy = True  # no turn begins
    harness.hub.rename(bob, "Rob")
    harness.hub.remove(bob, QUIT)
    ann = rich(harness, "Ann")
    room.busy = False
    harness.hub.delivery.add(room)
    harness.slice()
    heard_of = [(each.event, each.nick) for each in seen(ann) if isinstance(each, Presence)]
    assert heard_of == [("rename", "Bob"), ("leave", "Rob")]
    assert keeper in room.members


def test_a_client_returning_under_another_nick_is_renamed(harness: Harness) -> None:
    anna, bert = rich(harness, "anna"), rich(harness, "bert")
    forget(anna)
    harness.hub.remove(bert, LOST)
    rich(harness, "robert", client="bert")
    assert seen(anna) == [Presence(room="lobby", nick="bert", event="rename", new_nick="robert")]
    assert anna.rooms["lobby"].room.count == 2


def test_a_second_connection_silently_replaces_the_first(
    harness: Harness,
) -> None:
    anna, first = rich(harness, "anna"), rich(harness, "bert")
    forget(anna)
    second = rich(harness, "", client="bert")
    assert (first.ending, second.nick) == (REPLACED, "bert")
    harness.hub.remove(first, REPLACED)
    assert (seen(anna), anna.rooms["lobby"].room.count) == ([], 2)
    assert harness.hub.owners.find_rich("bert") is second


def test_a_crowded_room_hears_only_its_count_once_a_second(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "CROWDED", 3)
    monkeypatch.setattr(presence, "UNCROWDED", 2)
    anna, bert, carl = (rich(harness, nick) for nick in ("anna", "bert", "carl"))
    seen(anna)
    dora = rich(harness, "dora")
    harness.hub.rename(bert, "robert")
    assert seen(anna) == []
    harness.hub.tick(0)
    harness.hub.tick(0)
    assert seen(anna) == [Presence(room="lobby", count=4)]
    for each in (bert, carl):
        harness.hub.leave(each.rooms["lobby"])
    assert seen(anna) == []
    harness.hub.tick(0)
    assert seen(anna) == [Presence(room="lobby", count=2)]
    harness.hub.leave(dora.rooms["lobby"])  # below this number it is no longer crowded
    assert seen(anna) == [Presence(room="lobby", nick="dora", event="leave")]


def test_members_include_dropped_clients_whose_nick_is_held(harness: Harness) -> None:
    anna, bert = rich(harness, "anna"), rich(harness, "bert")
    plain(harness)
    harness.hub.remove(bert, LOST)
    room = anna.rooms["lobby"].room
    assert list(harness.hub.nicks_in(room, 500)) == ["anna", "bert"]
    assert list(harness.hub.nicks_in(room, 1)) == ["anna"]
    assert room.count == 2


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
