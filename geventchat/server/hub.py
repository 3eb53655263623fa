"""The hub: who is here, under which nick, in which rooms; and the way of a batch to them.

All of it changes only in stretches that never switch. Here is decided when the others are told of
comings and goings: of a drop not while the nick waits for its client, of a plain guest only when it
has spoken or stayed a second.
"""

import logging
import time
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import gevent
from gevent.event import Event

from geventchat.config import Limits
from geventchat.protocol import events, names
from geventchat.protocol.errors import IDLE, Reason, Refused
from geventchat.server.console import Console
from geventchat.server.delivery import Delivery
from geventchat.server.limits import Pace, origin
from geventchat.server.nicks import Nicks
from geventchat.server.presence import Presence
from geventchat.server.room import Member, Room
from geventchat.server.timeline import Batch, Timeline

if TYPE_CHECKING:
    from geventchat.server.session import Session

_OPENERS: Final = 4
"""How many addresses it takes at least to use up all rooms."""
_NEWCOMER_SECONDS: Final = 1.0
"""How long a plain guest may stay silent before the others are told."""

_STOP_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Away:
    """A client whose connection dropped, and whose nick waits for it until a monotonic time."""

    client: bytes
    nick: str
    rooms: list[Room]
    pace: Pace | None
    """How quickly it spoke, so that it is no quicker for coming back."""
    until: float = 0.0


class Hub:
    """Sessions, nicks and rooms. Nothing here waits but the greenlets that `start` spawns."""

    def __init__(self, limits: Limits, console: Console) -> None:
        self.limits = limits
        self._console = console
        self.delivery = Delivery()
        self._presence = Presence(self.delivery)
        self.rooms: dict[str, Room] = {}
        self._nicks: Nicks[Session | Away] = Nicks()
        self._clients: dict[bytes, Session | Away] = {}
        self._opened: Counter[str | None] = Counter()
        """Rooms by where they were opened from."""
        self._newcomers: dict[Member, float] = {}
        self.opens: Counter[str] = Counter()
        """Sessions that began, by door."""
        self.closes: Counter[str] = Counter()
        """Sessions that ended, by reason."""
        self.failed = 0
        """Messages that could not be stored."""
        self.lags: deque[float] = deque([0.0], 60)
        """Seconds by which the clock was late, of each second of the last minute."""
        self.sessions: set[Session] = set()
        self.delivered = Event()
        """Set when the server ends and everything that was said is in the outboxes."""
        self.timeline: Timeline  # set once, by the server: each of the two needs the other

    def start(self, *, ticking: bool = True) -> None:
        """Begin to deliver, and if `ticking` to do once a second what is due then."""
        self.delivery.start()
        self.greenlets = [self.delivery.greenlet]
        if ticking:
            clock = gevent.spawn(self._tick)
            clock.name = "clock"
            self.greenlets.append(clock)

    def drain(self, seconds: float) -> None:
        """Let every session take what has come so far, for this long, and then no more. Waits."""
        gevent.wait([session.drain() for session in self.sessions], timeout=seconds)

    def end_all(self, reason: Reason) -> None:
        """Tell every session to end."""
        for session in self.sessions:
            session.end(reason)

    def finish(self, seconds: float) -> None:
        """Wait until all that the timeline handed on is delivered."""
        with suppress(TimeoutError), gevent.Timeout(seconds, TimeoutError):
            while not self.delivery.idle:
                self.delivery.work()  # its greenlet may be what has died
                gevent.sleep(0.001)
        self.delivered.set()

    def stop(self) -> None:
        """Stop delivering and keeping time. Waits."""
        gevent.killall(self.greenlets, timeout=_STOP_SECONDS)

    # Coming and going

    def come(self, session: "Session") -> None:
        """Take a session in, as the guest it is until it says otherwise.

        One that is `shut` out is a member of nothing before it is greeted.
        """
        self.sessions.add(session)
        self.opens[session.link.door] += 1
        session.nick = self._nicks.guest()
        if session.shut is None:
            member = self._add(session, self._open(session, names.LOBBY))
            self.go_live(member)
            self._newcomers[member] = time.monotonic() + _NEWCOMER_SECONDS
            self._console.came(session.nick, session.address, len(self.sessions))

    def greet(self, session: "Session", client: bytes) -> None:
        """Let a session be rich from here on, as the client it is: with the nick that was held.

        The client's former connection, if it has one, is told to end. Raises Ending.
        """
        session.check()
        if session.shut is not None:
            session.shut = None
            self._console.came(session.nick, session.address, len(self.sessions))
        for member in list(session.rooms.values()):
            self._remove(member)
        session.rich = True
        session.client = client
        former = self._clients.get(client)
        if former is not None and not isinstance(former, Away):
            former.replaced()
            former = self._drop(former)
        self._clients[client] = session
        if former is not None:
            self._console.named(session.nick, former.nick)
            session.nick = former.nick
            session.absent = former.rooms
            if session.link.pace is not None and former.pace is not None:
                session.link.pace.go_on(former.pace)
        self._nicks.give(session.nick, session)

    def settle_in(self, session: "Session") -> None:
        """Tell the rooms to which a session that came back did not come back."""
        for room in session.absent:
            self._presence.stays_away(room, session.nick)
        session.absent = []
        self.delivery.work()

    def go(self, session: "Session", reason: Reason) -> None:
        """Let a session go; if it is asked to come back, its nick is held for its client."""
        self.sessions.discard(session)
        self.closes[reason.code] += 1
        if session.shut is None:
            self._console.left(session.nick, reason.code, len(self.sessions))
        if self._clients.get(session.client) is session:
            away = self._drop(session)
            away.until = time.monotonic() + self.limits.nick_hold_seconds
            self._clients[session.client] = away
            self._nicks.give(away.nick, away)
            if not reason.reconnect:
                self._forget(away)
        for member in list(session.rooms.values()):
            self._remove(member)
        self.delivery.work()

    def _drop(self, session: "Session") -> Away:
        """Take a rich session out of its rooms, for the others not yet gone."""
        self.settle_in(session)
        rooms = []
        for member in list(session.rooms.values()):
            if member.announced:
                member.announced = False
                member.room.away.add(session.nick)
                rooms.append(member.room)
            self._remove(member)
        return Away(session.client, session.nick, rooms, session.link.pace)

    def _forget(self, away: Away) -> None:
        del self._clients[away.client]
        self._nicks.free(away.nick)
        for room in away.rooms:
            self._presence.stays_away(room, away.nick)

    # Nicks

    def rename(self, session: "Session", text: str) -> str:
        """Give a session another nick; give its spelling. Raises Refused, Ending."""
        session.check()
        former = session.nick
        nick = self._nicks.take(text, session)
        if nick == former:
            return nick
        if names.fold(nick) != names.fold(former):
            self._nicks.free(former)
        session.nick = nick
        self._console.named(former, nick)
        for room in session.absent:  # it comes back under another name
            if former in room.away:
                room.away.remove(former)
                room.away.add(nick)
                self._presence.renamed(room, session, former)
        for member in session.rooms.values():
            if member.announced:
                self._presence.renamed(member.room, session, former)
        self.delivery.work()
        return nick

    def named(self, nick: str) -> "Session":
        """Give the rich session that goes by a nick. Raises Refused `no_such_nick`."""
        owner = self._nicks.owner(nick)
        if owner is None or isinstance(owner, Away):
            raise Refused("no_such_nick", "Nobody of that nick is here now.")
        return owner

    def known(self, client: bytes) -> str | None:
        """Give the nick of a client that is here, or whose nick is held."""
        former = self._clients.get(client)
        return former.nick if former is not None else None

    def present(self, nick: str) -> "Session | Away | None":
        """Give who goes by a nick, held ones and plain guests' included."""
        owner = self._nicks.owner(nick)
        if owner is None:
            folded = names.fold(nick[: len(names.GUEST) + 20])
            owner = next((each for each in self.sessions if each.nick == folded), None)
        return owner

    # Rooms

    def join(self, session: "Session", name: str) -> Member:
        """Make a rich session a member, who does not hear yet.

        Raises Refused `too_many_rooms`, Ending.
        """
        session.check()
        if len(session.rooms) >= self.limits.rooms_per_client:
            text = f"You are in {len(session.rooms)} rooms, which is the limit. Leave one first."
            raise Refused("too_many_rooms", text, room=name)
        room = self._open(session, name)
        member = self._add(session, room)
        member.announced = True
        if session.nick in room.away:  # the others were never told that it was gone
            room.away.discard(session.nick)
        else:
            self._presence.came(room, session)
        self.delivery.work()
        return member

    def go_live(self, member: Member) -> None:
        """Let a member hear, who has heard everything up to its room's position."""
        if member.stands:
            member.room.go_live(member)

    def leave(self, member: Member) -> None:
        """Let a session go from one room, unless it is gone already."""
        if member.stands:
            self._remove(member)
        self.delivery.work()

    def those_in(self, name: str) -> list["Session"]:
        """Give the sessions in a room, none if there is no such room."""
        room = self.rooms.get(name)
        return list(room.members) if room is not None else []

    def nicks_in(self, room: Room, most: int) -> list[str]:
        """Give the nicks of those who are in a room in the eyes of the others."""
        nicks = [member.session.nick for member in room.members.values() if member.announced]
        return (nicks + sorted(room.away))[:most]

    def tell(self, room: Room, event: events.Event, but: "Session | None" = None) -> None:
        """Let the rich members of a room hear an event."""
        self.delivery.tell(room, event, but)
        self.delivery.work()

    def announce(self, member: Member) -> None:
        """Tell the others of a plain guest, once."""
        if not member.announced and member.stands:
            member.announced = True
            self._presence.came(member.room, member.session)
            self.delivery.work()

    def _open(self, session: "Session", name: str) -> Room:
        room = self.rooms.get(name)
        if room is None:
            opener = None
            if name != names.LOBBY:
                opener = self._check_opener(session, name)
            room = Room(name, self.timeline.position(name), self.timeline.topic(name), opener)
            self.rooms[name] = room
            self._opened[opener] += 1
        return room

    def _check_opener(self, session: "Session", name: str) -> str | None:
        """Give from where a session opens a room, None if that is not counted. Raises Refused."""
        if len(self.rooms) >= self.limits.rooms:
            raise Refused("too_many_rooms", "The server has no more rooms.", room=name)
        if session.link.pace is None:
            return None
        opener = origin(session.address)
        if self._opened[opener] >= max(self.limits.rooms // _OPENERS, 1):
            text = "Your address has opened as many rooms as it may."
            raise Refused("too_many_rooms", text, room=name)
        return opener

    def _add(self, session: "Session", room: Room) -> Member:
        member = session.rooms[room.name] = Member(session, room)
        room.add(member)
        return member

    def _remove(self, member: Member) -> None:
        room = member.room
        room.remove(member)
        del member.session.rooms[room.name]
        self._newcomers.pop(member, None)
        if member.announced:
            self._presence.went(room, member.session.nick)
        if not room.members:  # what it was is in the timeline
            self.rooms.pop(room.name)
            self._opened[room.opener] -= 1
            if not self._opened[room.opener]:
                del self._opened[room.opener]

    # Delivery and time

    def deliver(self, batch: Batch) -> None:
        """Hand on what a turn of the timeline brought. Never waits."""
        for said, position in batch.repeated:
            said.session.repeated(said, position)
        for said in batch.conflicts:
            said.session.refused(said, "key_conflict", "That key was used for another text.")
        self.failed += len(batch.failed)
        for said in batch.failed:
            said.session.refused(said, "storage", "The server could not store that. Try again.")
        for post, said in batch.posts:
            room = self.rooms.get(post.room)
            if room is not None and room.post(post, said):
                self.delivery.add(room)
            else:
                said.session.settled()
            self._console.said(post.room, post.author, post.text)
        self.delivery.work()

    def _tick(self) -> None:
        """Once a second: newcomers, crowds, nicks whose hold has ended, and the silent."""
        while True:
            due = time.monotonic() + 1.0
            gevent.sleep(1.0)
            self.lags.append(max(time.monotonic() - due, 0.0))
            try:
                self._keep_time(time.monotonic())
            except Exception:  # a bug here must not stop the clock
                _log.exception("the hub's clock failed")

    def _keep_time(self, now: float) -> None:
        for member in [each for each, due in self._newcomers.items() if due <= now]:
            del self._newcomers[member]
            self.announce(member)
        self._presence.count()
        for away in [each for each in self._clients.values() if isinstance(each, Away)]:
            if away.until <= now:
                self._forget(away)
        for session in self.sessions:
            if session.link.begun and session.link.listening:
                self._hurry(session, now)
            if session.rich:
                self._ping(session, now)
        self.delivery.work()

    def _hurry(self, session: "Session", now: float) -> None:
        seconds = self.limits.frame_seconds
        if now - session.link.begun >= seconds:
            text = f"A message that is begun has to be complete within {seconds} seconds."
            session.end(replace(IDLE, text=text))

    def _ping(self, session: "Session", now: float) -> None:
        silent = now - session.link.heard
        if silent < self.limits.ping_seconds:
            session.pinged = False
        elif not session.link.listening:  # the server itself does not read: the clock stands still
            session.link.heard = now
        elif not session.pinged:
            session.pinged = True
            session.answer(events.Ping())
        elif silent >= 2 * self.limits.ping_seconds:
            session.end(IDLE)
