"""A hub whose surroundings the test controls: when posts are stored, delivered, read and sent."""

import hashlib
import time
from collections import deque
from collections.abc import Iterable
from itertools import count
from typing import Any

from gevent.event import Event

from geventchat.config import Limits
from geventchat.protocol import events
from geventchat.protocol.events import Event as ChatEvent
from geventchat.protocol.events import Post
from geventchat.server.access.policy import Policy
from geventchat.server.chat.delivery import Delivery
from geventchat.server.chat.hub import Hub
from geventchat.server.chat.turn import Pending
from geventchat.server.logs.console import Console
from geventchat.server.people.account import Account
from geventchat.server.session.conversation import converse
from geventchat.server.session.session import Session
from geventchat.server.timeline import Batch, Change, Submission
from geventchat.server.timeline.memory import MemoryTimeline
from geventchat.server.wire import JSON, PLAIN
from tests.server.links import FakeLink
from tests.server.switches import never_switches


class RecordingConsole(Console):
    """A console that prints nothing and records renames."""

    def __init__(self) -> None:
        self.nicks: list[tuple[str, str]] = []

    def connected(self, who: str, address: str, clients: int) -> None:
        pass

    def renamed(self, former: str, nick: str) -> None:
        self.nicks.append((former, nick))

    def disconnected(self, who: str, reason: str, clients: int) -> None:
        pass

    def message(self, room: str, author: str, text: str) -> None:
        pass

    def private_message(self, number: int) -> None:
        pass

    def line(self, text: str) -> None:
        pass


class SteppedTimeline(MemoryTimeline):
    """Stores and delivers only when the test says so; reads can be delayed.

    As with a disk, positions change at `store` and posts are delivered at `deliver_next`.
    """

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub.submissions.deliver, posts_per_room=1 << 30, total_bytes=1 << 60)
        self.stored: deque[Batch] = deque()
        self.hold_readers = False
        """Whether reads wait for `resume_reader`."""
        self.readers: deque[Event] = deque()

    def store(self) -> None:
        """Store the appended submissions as one batch."""
        if self._submitted:
            submitted, self._submitted = self._submitted, []
            self.stored.append(self._store(submitted))

    def deliver_next(self) -> None:
        """Deliver the oldest stored batch."""
        if self.stored:
            with never_switches():
                self._on_batch(self.stored.popleft())

    def resume_reader(self) -> None:
        """Return to the longest waiting reader its page, as it was when it asked."""
        if self.readers:
            self.readers.popleft().set()

    @property
    def idle(self) -> bool:
        """Whether nothing is pending."""
        return not (self._submitted or self.stored or self.readers)

    def since(self, room: str, after: int, upto: int) -> list[Post]:
        posts = super().since(room, after, upto)
        self._wait()
        return posts

    def before(self, room: str, end: int, limit: int) -> list[Post]:
        posts = super().before(room, end, limit)
        self._wait()
        return posts

    def changes(self, room: str, after: int, position: int) -> tuple[list[Change], int]:
        found = super().changes(room, after, position)
        self._wait()
        return found

    def _wait(self) -> None:
        if self.hold_readers:
            turn = Event()
            self.readers.append(turn)
            turn.wait()


class Rounds:
    """A loop that reports a new round each time: each slice has a budget of its own."""

    def __init__(self) -> None:
        self._rounds = count()

    @property
    def iteration(self) -> int:
        return next(self._rounds)


def with_time(delivery: Delivery) -> Delivery:
    """Give each slice a budget that no machine is too slow for; return the delivery.

    The time of the budget stands still, so a slice does all there is to do. With a
    `SLICE_SECONDS` below 0 it ends at the first look at the clock.
    """
    delivery._loop, delivery._clock = Rounds(), lambda: 0.0
    return delivery


class Harness:
    """A hub, its timeline, and sessions that run only if the test runs them."""

    def __init__(self, **limits: Any) -> None:
        self.limits = Limits(**limits)
        self.console = RecordingConsole()
        self.hub = Hub(self.limits, self.console)
        with_time(self.hub.delivery)
        self.policy = Policy()
        self.timeline = self._make_timeline()
        self.hub.use(self.timeline)

    def _make_timeline(self) -> SteppedTimeline:
        return SteppedTimeline(self.hub)

    def session(self, link: FakeLink | None = None, *, rich: bool = False) -> Session:
        session = Session(
            link or FakeLink(), self.hub, self.timeline, self.limits, self.policy, converse
        )
        session.form = JSON if rich else PLAIN
        return session

    def say(self, session: Session, text: str, room: str = "lobby") -> None:
        """Submit a message of a session."""
        self.timeline.append(submitted(session, text, room))

    def set_topic(self, session: Session, topic: str, room: str = "lobby") -> None:
        """Submit a topic of a session."""
        submission = submitted(session, topic, room)
        submission.kind = "topic"
        self.timeline.append(submission)

    def slice(self) -> None:
        """Run one slice of delivery."""
        with never_switches():
            self.hub.submissions.deliver(Batch())

    @property
    def delivering(self) -> bool:
        """Whether delivery has work left."""
        return not self.hub.delivery.idle


def account(harness: Harness, nick: str, *rooms: str) -> Account:
    """Make an account that is in some rooms."""
    made = harness.hub.people.create(nick)
    harness.hub.owners.reserve(made)
    for room in rooms or ("lobby",):
        harness.hub.people.join(made, room)
    return made


def plain(harness: Harness) -> Session:
    """Connect a plain client."""
    session = harness.session()
    with never_switches():
        session.rooms = harness.hub.add(session)
    return session


def rich(harness: Harness, nick: str, *rooms: str, client: str | None = None) -> Session:
    """Connect a guest that is live in some rooms; without a nick it has the one held for it."""
    return _live(harness, client or nick, None, nick, rooms)


def connect(harness: Harness, client: str, who: Account | None = None, *rooms: str) -> Session:
    """Connect a client of an account in all its rooms, or a guest in these."""
    return _live(harness, client, who, client if who is None else "", rooms)


def _live(
    harness: Harness, client: str, who: Account | None, nick: str, rooms: Iterable[str]
) -> Session:
    session = plain(harness)
    with never_switches():
        hashed = hashlib.blake2b(client.encode()).digest()
        login = harness.hub.people.logins.begin(who, None)[0] if who is not None else None
        harness.hub.authenticate(session, hashed, JSON, login)
        if nick and session.nick != nick:
            harness.hub.rename(session, nick)
        for room in (who.rooms if who is not None else rooms) or ("lobby",):
            harness.hub.go_live(harness.hub.join(session, room))
        harness.hub.finish_resume(session)
    forget(session)
    return session


def submitted(
    session: Session, text: str, room: str = "lobby", key: str | None = None
) -> Submission:
    """Return a submission of a session that the hub counts as pending."""
    hub = session.hub
    hub.submissions._number += 1
    submission = Submission(hub.submissions._number, room, session.nick, text, session.client, key)
    session._unacknowledged += 1
    pending = Pending(session, None, time.perf_counter())
    hub.submissions._waiting[submission.number] = submission, pending
    return submission


def link_of(session: Session) -> FakeLink:
    assert isinstance(session.link, FakeLink)
    return session.link


def heard(session: Session) -> list[bytes]:
    """Return the frames that a session's client has received."""
    *frames, rest = bytes(link_of(session).taken).split(b"\0")
    assert rest == b""
    return frames


def forget(*sessions: Session) -> None:
    """Forget what clients have received."""
    for session in sessions:
        link_of(session).taken.clear()


def seen(session: Session) -> list[ChatEvent]:
    """Return the events that a rich session has received since the last call."""
    found = [events.decode(frame) for frame in heard(session)]
    forget(session)
    return [event for event in found if event is not None]
