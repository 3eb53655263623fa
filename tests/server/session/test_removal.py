"""Whoever is removed from a private room receives nothing more of it, whatever is under way."""

import gevent
import pytest
from gevent.event import Event as Flag

from geventchat.protocol import requests
from geventchat.protocol.errors import LOST, Refused
from geventchat.protocol.events import (
    Error,
    Found,
    History,
    Joined,
    Left,
    Members,
    Post,
    Sent,
)
from geventchat.server.chat import delivery
from geventchat.server.search.scan import ScanSearch
from geventchat.server.session import handlers
from geventchat.server.session.session import Session
from tests.server.hub_harness import Harness, account, connect, link_of, seen
from tests.server.switches import let_run

ROOM = "plans"


class Plans:
    """A private room with a moderator, a member on two connections, and three posts."""

    def __init__(self) -> None:
        self.harness = harness = Harness(outbox_bytes=1_000)
        harness.hub.search = ScanSearch(harness.timeline)
        people = harness.hub.people
        self.ann, self.bob = account(harness, "Ann"), account(harness, "Bob")
        self.private = people.create_private(self.ann, ROOM, from_join=False)
        self.membership = people.invite(self.bob, self.private, "Ann")
        people.join(self.bob, ROOM)
        self.moderator = connect(harness, "ann-1", self.ann)
        self.laptop = connect(harness, "bob-1", self.bob)
        for number in range(3):
            harness.say(self.moderator, f"post {number}", ROOM)
        self.deliver()
        seen(self.laptop)

    def deliver(self) -> None:
        self.harness.timeline.store()
        self.harness.timeline.deliver_next()
        while self.harness.delivering:
            self.harness.slice()

    def phone(self) -> Session:
        """Connect another device of Bob, which is in no room yet."""
        phone = self.harness.session()
        phone.rooms = self.harness.hub.add(phone)
        login, *_ = self.harness.hub.people.logins.begin(self.bob, None)
        self.harness.hub.authenticate(phone, b"p" * 16, link_of(phone).form, login)
        link_of(phone).taken.clear()
        return phone

    def remove(self) -> None:
        """Remove Bob, and say something that is not for him."""
        handlers.answer(self.moderator, requests.Remove(room=ROOM, nick="Bob"))
        assert ROOM not in self.bob.memberships
        self.harness.say(self.moderator, "secret", ROOM)
        self.deliver()


@pytest.fixture
def plans() -> Plans:
    return Plans()


def ask(session: Session, request: requests.AnyRequest) -> "gevent.Greenlet[[], None]":
    """Have a session answer a request in a greenlet of its own."""

    def answer() -> None:
        try:
            handlers.answer(session, request)
        except Refused as refusal:
            session.refuse(refusal, request)

    asking = gevent.spawn(answer)
    let_run()
    return asking


def gone(session: Session) -> None:
    """Check that nothing comes of the room, but that it is left, or that it is not joined."""
    for event in seen(session):
        if isinstance(event, Error):
            assert event.code in ("not_joined", "forbidden")
        elif isinstance(event, Found):
            assert event.posts == []
        elif getattr(event, "room", None) == ROOM:
            assert isinstance(event, Left)
            assert event.reason == "removed"


def test_all_connections_have_left_at_once_and_hear_nothing_more(plans: Plans) -> None:
    phone = connect(plans.harness, "bob-2", plans.bob)
    plans.remove()
    for device in (plans.laptop, phone):
        assert [event for event in seen(device) if isinstance(event, Left)] == [
            Left(room=ROOM, reason="removed")
        ]
        assert ROOM not in device.rooms


def test_a_turn_under_way_does_not_reach_who_is_removed(
    plans: Plans, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("_STEP", 1), ("SLICE_SECONDS", -1.0)):
        monkeypatch.setattr(delivery, name, value)
    room = plans.harness.hub.rooms[ROOM]
    plans.harness.say(plans.moderator, "secret", ROOM)
    plans.harness.timeline.store()
    plans.harness.timeline.deliver_next()
    assert [(turn.left, turn.recipients) for turn in room.walk.turns] == [(1, 2)]
    handlers.answer(plans.moderator, requests.Remove(room=ROOM, nick="Bob"))
    plans.deliver()
    assert room.position == 4
    gone(plans.laptop)


def test_a_replay_under_way_stops(plans: Plans) -> None:
    phone = plans.phone()
    plans.harness.timeline.hold_readers = True
    phone.to_follow[ROOM] = None
    following = gevent.spawn(handlers.follow, phone)
    let_run()
    assert [type(event) for event in seen(phone)] == [Joined]
    plans.remove()
    plans.harness.timeline.resume_reader()
    following.get(timeout=20)
    gone(phone)


@pytest.mark.parametrize(
    "request_",
    [
        requests.History(room=ROOM, limit=9, id="1"),
        requests.Who(room=ROOM, id="1"),
        requests.Search(text="post", id="1"),
    ],
)
def test_what_waits_for_room_in_the_outbox_is_not_sent(
    plans: Plans, request_: requests.AnyRequest
) -> None:
    """The page was read before the removal."""
    link = link_of(plans.laptop)
    link.room = 0
    plans.laptop.put(b"x" * 600 + b"\0")
    asking = ask(plans.laptop, request_)
    assert not asking.ready()
    plans.remove()
    link.take(None)
    asking.get(timeout=20)
    let_run()
    link.taken = link.taken.partition(b"\0")[2]
    gone(plans.laptop)


def test_a_page_of_history_that_is_being_read_is_not_sent(plans: Plans) -> None:
    plans.harness.timeline.hold_readers = True
    asking = ask(plans.laptop, requests.History(room=ROOM, limit=9, id="1"))
    assert not asking.ready()
    plans.remove()
    plans.harness.timeline.resume_reader()
    asking.get(timeout=20)
    gone(plans.laptop)


def test_a_topic_that_others_overtook_is_not_told_to_who_was_removed(plans: Plans) -> None:
    """The answer to a request was the topic that holds, whoever set it, even after a removal."""
    plans.membership.moderator = True
    ask(plans.laptop, requests.Topic(room=ROOM, topic="mine", id="1"))
    plans.harness.set_topic(plans.moderator, "secret", ROOM)
    ask(plans.laptop, requests.Edit(room=ROOM, position=1, text="x", id="3"))
    handlers.answer(plans.moderator, requests.Remove(room=ROOM, nick="Bob"))
    plans.deliver()
    gone(plans.laptop)


@pytest.mark.parametrize("alone", [False, True])
def test_a_message_on_its_way_is_acknowledged_to_who_is_removed(plans: Plans, alone: bool) -> None:
    """It is stored, and its author waits for a verdict."""
    ask(plans.laptop, requests.Say(room=ROOM, text="on its way", key="k", id="1"))
    handlers.answer(plans.moderator, requests.Remove(room=ROOM, nick="Bob"))
    if alone:  # nobody is in the room any more
        ask(plans.moderator, requests.Leave(room=ROOM))
    plans.deliver()
    shown = [event for event in seen(plans.laptop) if isinstance(event, Left | Sent)]
    assert shown == [
        Left(room=ROOM, reason="removed"),
        Sent(room=ROOM, position=4, key="k", id="1"),
    ]


def test_a_message_that_its_author_has_received_has_no_other_answer(plans: Plans) -> None:
    ask(plans.laptop, requests.Say(room=ROOM, text="received", key="k", id="1"))
    plans.deliver()
    assert [type(event) for event in seen(plans.laptop)] == [Post]


def test_without_a_removal_all_of_this_is_sent(plans: Plans) -> None:
    for request in (
        requests.History(room=ROOM, limit=9),
        requests.Who(room=ROOM),
        requests.Search(text="post"),
    ):
        ask(plans.laptop, request).get(timeout=20)
    history, members, found = seen(plans.laptop)
    assert isinstance(found, Found)
    assert len(found.posts) == 3
    assert isinstance(history, History)
    assert [post.text for post in history.posts] == ["post 0", "post 1", "post 2"]
    assert isinstance(members, Members)
    assert members.nicks == ["Ann", "Bob"]


def test_a_join_that_is_overtaken_by_the_withdrawal_is_refused(
    plans: Plans, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = connect(plans.harness, "cid-1", account(plans.harness, "Cid"))
    handlers.answer(plans.moderator, requests.Invite(room=ROOM, nick="Cid"))
    on_disk = Flag()
    monkeypatch.setattr(plans.harness.hub.people.records, "_keep", lambda _: on_disk.wait())
    joining = ask(device, requests.Join(room=ROOM, id="1"))
    removing = ask(plans.moderator, requests.Remove(room=ROOM, nick="Cid"))
    assert not joining.ready()
    on_disk.set()
    gevent.joinall([joining, removing], timeout=30, raise_error=True)
    shown = seen(device)
    assert not [event for event in shown if isinstance(event, Joined | Post)]
    assert [event.code for event in shown if isinstance(event, Error)] == ["not_joined"]


def test_who_was_removed_is_not_among_the_members(plans: Plans) -> None:
    """Nor if a connection of it was lost a moment ago, and may come back."""
    plans.harness.hub.remove(plans.laptop, LOST)
    room = plans.harness.hub.rooms[ROOM]
    assert list(plans.harness.hub.nicks_in(room, 9)) == ["Ann", "Bob"]
    plans.remove()
    assert list(plans.harness.hub.nicks_in(room, 9)) == ["Ann"]
    assert room.count == 1


def test_a_connection_that_is_about_to_join_by_itself_left_and_was_not_refused(
    plans: Plans,
) -> None:
    """Then hello tells it `left`, so that it forgets what it has of the room."""
    phone = plans.phone()
    plans.remove()
    with pytest.raises(Refused) as refused:
        plans.harness.hub.join(phone, ROOM, following=True)
    assert refused.value.code == "not_joined"
