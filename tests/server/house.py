"""A hub with everything around it in a test's hand: when is stored, delivered, read and sent."""

import time
from collections import deque
from itertools import count
from typing import Any

from gevent.event import Event

from geventchat.config import Limits
from geventchat.protocol.events import Post
from geventchat.server.access.policy import Policy
from geventchat.server.chat.hub import Hub
from geventchat.server.chat.room import Pending
from geventchat.server.logs.console import Console
from geventchat.server.session import handlers
from geventchat.server.session.session import Session
from geventchat.server.timeline import Batch, Submission
from geventchat.server.timeline.memory import MemoryTimeline
from geventchat.server.wire import JSON, PLAIN
from tests.server.links import FakeLink
from tests.server.switches import never_switches


class Wall(Console):
    """A console that shows nothing, and remembers who took which nick."""

    def __init__(self) -> None:
        self.nicks: list[tuple[str, str]] = []

    def came(self, who: str, address: str, clients: int) -> None:
        pass

    def named(self, former: str, nick: str) -> None:
        self.nicks.append((former, nick))

    def left(self, who: str, reason: str, clients: int) -> None:
        pass

    def said(self, room: str, author: str, text: str) -> None:
        pass

    def line(self, text: str) -> None:
        pass


class SteppedTimeline(MemoryTimeline):
    """Stores and delivers when it is told to, never by itself; readings may be held back.

    Positions count from `store` on and posts are heard from `hand_on` on, as with a disk.
    """

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub.deliver, posts_per_room=1 << 30, total_bytes=1 << 60)
        self.stored: deque[Batch] = deque()
        self.held_back = False
        """Whether readings wait for `let_read`."""
        self.readers: deque[Event] = deque()

    def store(self) -> None:
        """Store what was appended."""
        if self._submitted:
            submitted, self._submitted = self._submitted, []
            self.stored.append(self._store(submitted))

    def hand_on(self) -> None:
        """Deliver the oldest batch that is stored and not delivered."""
        if self.stored:
            with never_switches():
                self._on_batch(self.stored.popleft())

    def let_read(self) -> None:
        """Let the reader who waits longest have its page, as it was when it asked."""
        if self.readers:
            self.readers.popleft().set()

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way."""
        return not (self._submitted or self.stored or self.readers)

    def since(self, room: str, after: int, upto: int) -> list[Post]:
        posts = super().since(room, after, upto)
        self._wait()
        return posts

    def before(self, room: str, end: int, limit: int) -> list[Post]:
        posts = super().before(room, end, limit)
        self._wait()
        return posts

    def _wait(self) -> None:
        if self.held_back:
            turn = Event()
            self.readers.append(turn)
            turn.wait()


class Rounds:
    """A loop that is always in another round: each slice has a budget of its own."""

    def __init__(self) -> None:
        self._rounds = count()

    @property
    def iteration(self) -> int:
        return next(self._rounds)


class House:
    """A hub, its timeline, and sessions that nobody runs unless the test does."""

    def __init__(self, **limits: Any) -> None:
        self.limits = Limits(**limits)
        self.wall = Wall()
        self.hub = Hub(self.limits, self.wall)
        self.hub.delivery._loop = Rounds()
        self.policy = Policy()
        self.timeline = self.hub.timeline = SteppedTimeline(self.hub)

    def session(self, link: FakeLink | None = None, *, rich: bool = False) -> Session:
        session = Session(
            link or FakeLink(), self.hub, self.timeline, self.limits, self.policy, handlers
        )
        session.form = JSON if rich else PLAIN
        return session

    def say(self, session: Session, text: str, room: str = "lobby") -> None:
        """Let a session say something."""
        self.timeline.append(submitted(session, text, room))

    def set_topic(self, session: Session, topic: str, room: str = "lobby") -> None:
        """Let a session set a topic."""
        submission = submitted(session, topic, room)
        submission.is_topic = True
        self.timeline.append(submission)

    def slice(self) -> None:
        """Let delivery work for one slice."""
        with never_switches():
            self.hub.deliver(Batch())

    @property
    def delivering(self) -> bool:
        """Whether delivery has work left."""
        return not self.hub.delivery.idle


def submitted(
    session: Session, text: str, room: str = "lobby", key: str | None = None
) -> Submission:
    """Give something that a session says, of which the hub knows; its verdict is to come."""
    hub = session.hub
    hub._number += 1
    submission = Submission(hub._number, room, session.nick, text, session.client, key)
    session._unacknowledged += 1
    pending = Pending(session, None, time.perf_counter())
    hub._submissions[submission.number] = submission, pending
    return submission


def link_of(session: Session) -> FakeLink:
    assert isinstance(session.link, FakeLink)
    return session.link


def heard(session: Session) -> list[bytes]:
    """Give the frames that a session's client has heard."""
    *frames, rest = bytes(link_of(session).taken).split(b"\0")
    assert rest == b""
    return frames
