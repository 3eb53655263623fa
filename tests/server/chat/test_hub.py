"""What the hub promises: who is here, what the others are told, and batches handed on at once."""

import gc
import hashlib

import pytest

from geventchat.protocol import events
from geventchat.protocol.errors import KICKED, LOST, QUIT, REPLACED, SLOW, Refused
from geventchat.protocol.events import Event, Post, Presence
from geventchat.server.chat import presence
from geventchat.server.chat.hub import Away
from geventchat.server.session.session import Session
from geventchat.server.timeline import Batch, Submission
from geventchat.server.wire import JSON
from tests.server.house import House, heard, link_of, submitted
from tests.server.switches import let_run, never_switches


@pytest.fixture
def house() -> House:
    return House()


def plain(house: House) -> Session:
    """Let a plain client in."""
    session = house.session()
    with never_switches():
        session.rooms = house.hub.add(session)
    return session


def rich(house: House, nick: str, *rooms: str, client: str | None = None) -> Session:
    """Let a rich client in, level with its rooms."""
    session = plain(house)
    with never_switches():
        house.hub.authenticate(session, hashlib.blake2b((client or nick).encode()).digest(), JSON)
        if nick and session.nick != nick:
            house.hub.rename(session, nick)
        for room in rooms or ("lobby",):
            house.hub.go_live(house.hub.join(session, room))
        house.hub.finish_resume(session)
    forget(session)
    return session


def forget(*sessions: Session) -> None:
    for session in sessions:
        link_of(session).taken.clear()


def told(session: Session) -> list[Event]:
    """Give what a rich session was told since it was last asked."""
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


def deliver(house: House, what: Batch) -> None:
    with never_switches():
        house.hub.submissions.deliver(what)


# Batches


def test_a_batch_reaches_exactly_the_members_of_its_rooms(house: House) -> None:
    anna, bert = rich(house, "anna", "attic"), rich(house, "bert", "attic", "cellar")
    carl, guest = rich(house, "carl", "cellar"), plain(house)
    forget(anna, bert, carl)
    deliver(house, batch(said(anna, "up", "attic")))
    deliver(house, batch(said(carl, "down", "cellar")))
    deliver(house, batch(said(guest, "hall")))
    up, down = Post("attic", 1, "anna", 0, "up"), Post("cellar", 1, "carl", 0, "down")
    assert (told(anna), told(bert), told(carl)) == ([up], [up, down], [down])
    assert heard(guest) == []


def test_posts_are_delivered_in_timeline_order(house: House) -> None:
    anna, guest = rich(house, "anna"), plain(house)
    deliver(house, batch(*[said(anna, str(number)) for number in range(100)]))
    assert heard(guest) == [b"%d" % number for number in range(100)]
    assert [post.position for post in told(anna) if isinstance(post, Post)] == list(range(1, 101))


def test_every_author_has_its_verdict_once_the_batch_is_delivered(house: House) -> None:
    anna = rich(house, "anna")
    here, away = said(anna, "here"), said(anna, "away", "empty")
    again, other, lost = (said(anna, text, key=text) for text in ("again", "other", "lost"))
    what = batch(here, away)
    what.repeated, what.conflicts = [(again.number, 7)], [other.number]
    what.failed = [lost.number]
    deliver(house, what)
    assert anna._unacknowledged == 0
    sent, conflict, failure, post = told(anna)
    assert sent == events.Sent(room="lobby", key="again", position=7)
    assert isinstance(conflict, events.Error)
    assert (conflict.code, conflict.key, conflict.room) == ("key_conflict", "other", "lobby")
    assert isinstance(failure, events.Error)
    assert (failure.code, failure.key, failure.room) == ("storage", "lost", "lobby")
    assert isinstance(post, Post)


def test_a_plain_author_whose_message_was_not_stored_gets_a_line(house: House) -> None:
    guest, other = plain(house), plain(house)
    deliver(house, Batch(failed=[said(guest, "lost").number]))
    [line] = heard(guest)
    assert line.startswith(b"* geventchat: ")
    assert (guest._unacknowledged, heard(other)) == (0, [])


def test_delivering_never_switches_whatever_the_members_do(house: House) -> None:
    people = [rich(house, f"nick{number}") for number in range(20)]
    guests = [plain(house) for _ in range(20)]
    for each in (*people[::3], *guests[::3]):
        link_of(each).room = 10
    for each in (*people[1::3], *guests[1::3]):
        link_of(each).lose()
    for turn in range(5):
        said_now = [said(each, f"text {turn}") for each in (*people, *guests)]
        deliver(house, batch(*said_now, first=40 * turn + 1))
    let_run()
    assert len(heard(guests[2])) == 5 * 39


def test_a_post_stored_before_the_room_was_opened_is_not_delivered_twice(house: House) -> None:
    timeline = house.timeline
    anna = rich(house, "anna", "attic")
    timeline.append(said(anna, "one", "attic"))
    timeline.store()
    house.hub.leave(anna.rooms["attic"])
    bert = rich(house, "bert", "attic")
    assert bert.rooms["attic"].room.position == 1
    timeline.hand_on()
    assert told(bert) == []
    assert anna._unacknowledged == 0
    timeline.append(said(bert, "two", "attic"))
    timeline.store()
    timeline.hand_on()
    [post] = told(bert)
    assert isinstance(post, Post)
    assert (post.position, post.text) == (2, "two")


def test_an_empty_room_is_forgotten_and_reopened_at_its_position(
    house: House,
) -> None:
    anna = rich(house, "anna", "attic")
    house.timeline.append(said(anna, "one", "attic"))
    house.timeline.store()
    house.timeline.hand_on()
    house.set_topic(anna, "tea", "attic")
    house.timeline.store()
    house.timeline.hand_on()
    house.hub.leave(anna.rooms["attic"])
    member = house.hub.join(anna, "attic")
    assert (member.room.position, member.room.topic, member.room.count) == (1, "tea", 1)


# Rooms


def test_a_client_cannot_join_more_rooms_than_the_limit() -> None:
    house = House(rooms_per_client=2)
    anna = rich(house, "anna", "one", "two")
    with pytest.raises(Refused) as refused:
        house.hub.join(anna, "three")
    assert (refused.value.code, refused.value.room) == ("too_many_rooms", "three")
    house.hub.leave(anna.rooms["one"])
    house.hub.join(anna, "three")


def test_the_room_limit_never_excludes_the_lobby() -> None:
    house = House(rooms=2)
    anna = rich(house, "anna", "one", "two")
    with pytest.raises(Refused) as refused:
        house.hub.join(anna, "three")
    assert refused.value.code == "too_many_rooms"
    plain(house)
    house.hub.join(rich(house, "bert", "one"), "two")


def test_a_member_that_left_hears_nothing_more_from_the_room(house: House) -> None:
    anna, bert = rich(house, "anna", "attic"), rich(house, "bert", "attic")
    house.hub.leave(anna.rooms["attic"])
    forget(anna)
    deliver(house, batch(said(bert, "one", "attic")))
    assert told(anna) == []


# What the others are told


def test_an_event_is_announced_at_once(house: House) -> None:
    anna, bert = rich(house, "anna"), rich(house, "bert")
    forget(anna)
    with never_switches():
        house.hub.tell(anna.rooms["lobby"].room, events.Typing("lobby", "bert"), bert)
    assert (told(anna), told(bert)) == ([events.Typing("lobby", "bert")], [])


def test_the_join_and_leave_of_a_rich_member_are_announced(house: House) -> None:
    anna = rich(house, "anna")
    bert = rich(house, "bert")
    assert told(anna) == [Presence(room="lobby", nick="bert", event="join")]
    assert told(bert) == []
    house.hub.leave(bert.rooms["lobby"])
    assert told(anna) == [Presence(room="lobby", nick="bert", event="leave")]
    assert anna.rooms["lobby"].room.count == 1


def test_the_join_of_a_plain_member_is_announced_once(house: House) -> None:
    anna, guest = rich(house, "anna"), plain(house)
    room = anna.rooms["lobby"].room
    assert (told(anna), room.count) == ([], 1)
    for _ in range(2):
        house.hub.announce(guest.rooms["lobby"])
    house.slice()
    assert told(anna) == [Presence(room="lobby", nick=guest.nick, event="join")]
    assert room.count == 2
    house.hub.remove(guest, LOST)
    assert told(anna) == [Presence(room="lobby", nick=guest.nick, event="leave")]
    assert room.count == 1


def test_a_departed_session_is_not_kept_alive(house: House) -> None:
    """Thousands may come and go within a second."""
    guest = plain(house)
    house.hub.remove(guest, QUIT)
    was = id(guest)
    del guest
    gc.collect()
    assert was not in [id(each) for each in gc.get_objects() if isinstance(each, Session)]


def test_an_unannounced_plain_member_leaves_silently(house: House) -> None:
    anna, guest = rich(house, "anna"), plain(house)
    member = guest.rooms["lobby"]
    house.hub.remove(guest, LOST)
    house.hub.announce(member)
    house.slice()
    assert told(anna) == []


def test_a_rename_is_announced_in_every_room_of_its_owner(house: House) -> None:
    anna = rich(house, "anna", "attic", "cellar")
    bert, carl = rich(house, "bert", "attic"), rich(house, "carl", "cellar")
    forget(anna, bert)
    assert house.hub.rename(anna, "Hanna") == "Hanna"
    for other, room in ((bert, "attic"), (carl, "cellar")):
        assert told(other) == [Presence(room=room, nick="anna", event="rename", new_nick="Hanna")]
    assert house.hub.find_rich("hanna") is anna
    assert rich(house, "anna").nick == "anna"


def test_the_console_shows_who_is_who(house: House) -> None:
    ann = rich(house, "ann")
    guest, _ = house.wall.nicks.pop()
    house.hub.remove(ann, LOST)
    back = rich(house, "", client="ann")
    house.hub.rename(back, "anna")
    assert guest.startswith("guest-")
    assert house.wall.nicks[0][0].startswith("guest-")  # as whom it came back
    assert [nick for _, nick in house.wall.nicks] == ["ann", "anna"]


def test_a_drop_is_not_announced_while_the_nick_is_held(house: House) -> None:
    anna, bert = rich(house, "anna"), rich(house, "bert")
    forget(anna)
    room = anna.rooms["lobby"].room
    house.hub.remove(bert, LOST)
    assert (told(anna), room.count) == ([], 2)
    with pytest.raises(Refused):
        house.hub.find_rich("bert")
    back = rich(house, "", client="bert")
    assert (back.nick, told(anna), room.count) == ("bert", [], 2)
    assert house.hub.find_rich("bert") is back


def test_a_held_nick_cannot_be_taken(house: House) -> None:
    bert = rich(house, "bert")
    house.hub.remove(bert, SLOW)
    with pytest.raises(Refused) as refused:
        house.hub.rename(rich(house, "anna"), "bert")
    assert refused.value.code == "nick_in_use"


def test_a_bye_is_announced_at_once_and_frees_the_nick(house: House) -> None:
    for reason in (QUIT, KICKED):
        anna, bert = rich(house, "anna"), rich(house, "bert")
        forget(anna)
        house.hub.remove(bert, reason)
        assert told(anna) == [Presence(room="lobby", nick="bert", event="leave")]
        assert house.hub.rename(anna, "bert") == "bert"
        house.hub.remove(anna, QUIT)


def test_when_a_hold_ends_the_leave_is_announced_and_the_nick_is_free(house: House) -> None:
    anna, bert = rich(house, "anna"), rich(house, "bert")
    forget(anna)
    house.hub.remove(bert, LOST)
    away = house.hub._clients[bert.client]
    assert isinstance(away, Away)
    house.hub.tick(away.until - 0.001)
    assert told(anna) == []
    house.hub.tick(away.until)
    assert told(anna) == [Presence(room="lobby", nick="bert", event="leave")]
    assert anna.rooms["lobby"].room.count == 1
    assert house.hub.rename(anna, "bert") == "bert"


def test_a_returning_client_leaves_the_rooms_it_does_not_rejoin(house: House) -> None:
    anna = rich(house, "anna", "attic", "cellar")
    bert = rich(house, "bert", "attic", "cellar")
    forget(anna)
    house.hub.remove(bert, LOST)
    rich(house, "", "attic", client="bert")
    assert told(anna) == [Presence(room="cellar", nick="bert", event="leave")]


def test_a_client_returning_under_another_nick_is_renamed(house: House) -> None:
    anna, bert = rich(house, "anna"), rich(house, "bert")
    forget(anna)
    house.hub.remove(bert, LOST)
    rich(house, "robert", client="bert")
    assert told(anna) == [Presence(room="lobby", nick="bert", event="rename", new_nick="robert")]
    assert anna.rooms["lobby"].room.count == 2


def test_a_second_connection_silently_replaces_the_first(
    house: House,
) -> None:
    anna, first = rich(house, "anna"), rich(house, "bert")
    forget(anna)
    second = rich(house, "", client="bert")
    assert (first._reason, second.nick) == (REPLACED, "bert")
    house.hub.remove(first, REPLACED)
    assert (told(anna), anna.rooms["lobby"].room.count) == ([], 2)
    assert house.hub.find_rich("bert") is second


def test_a_crowded_room_hears_only_its_count_once_a_second(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "CROWDED", 3)
    monkeypatch.setattr(presence, "_UNCROWDED", 2)
    anna, bert, carl = (rich(house, nick) for nick in ("anna", "bert", "carl"))
    told(anna)
    dora = rich(house, "dora")
    house.hub.rename(bert, "robert")
    assert told(anna) == []
    house.hub.tick(0)
    house.hub.tick(0)
    assert told(anna) == [Presence(room="lobby", count=4)]
    for each in (bert, carl):
        house.hub.leave(each.rooms["lobby"])
    assert told(anna) == []
    house.hub.tick(0)
    assert told(anna) == [Presence(room="lobby", count=2)]
    house.hub.leave(dora.rooms["lobby"])  # under so many it is no crowd any more
    assert told(anna) == [Presence(room="lobby", nick="dora", event="leave")]


def test_members_include_dropped_clients_whose_nick_is_held(house: House) -> None:
    anna, bert = rich(house, "anna"), rich(house, "bert")
    plain(house)
    house.hub.remove(bert, LOST)
    room = anna.rooms["lobby"].room
    assert house.hub.nicks_in(room, 500) == ["anna", "bert"]
    assert house.hub.nicks_in(room, 1) == ["anna"]
    assert room.count == 2


def test_end_all_ends_every_session(house: House) -> None:
    sessions = [plain(house), rich(house, "anna")]
    house.hub.end_all(KICKED)
    assert [each._reason for each in sessions] == [KICKED, KICKED]


def test_departed_sessions_leave_nothing_behind(house: House) -> None:
    sessions = [plain(house), rich(house, "anna", "attic"), rich(house, "bert")]
    for each in sessions:
        house.hub.remove(each, QUIT)
    hub = house.hub
    for kept in (hub.sessions, hub.rooms, hub._clients, hub._nicks._owners):
        assert not kept
