"""The hub: who is here, under which nick, in which rooms; and the way of a batch to them.

All of it changes only in stretches that never switch. Here is decided when the others are told of
comings and goings: of a drop not while the nick waits for its client, of a plain guest only when it
has spoken or stayed a second.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import gevent
from gevent.event import Event

from geventchat.config import Limits
from geventchat.protocol import events, names
from geventchat.protocol.errors import REPLACED, Reason, Refused
from geventchat.server.access.rate_limits import origin
from geventchat.server.chat.clock import Clock
from geventchat.server.chat.delivery import Delivery
from geventchat.server.chat.nicks import Nicks
from geventchat.server.chat.presence import Presence
from geventchat.server.chat.room import Member, Room
from geventchat.server.chat.submissions import Submissions
from geventchat.server.logs.console import Console
from geventchat.server.participant import Participant
from geventchat.server.timeline import Batch, Timeline
from geventchat.server.transport.token_bucket import TokenBucket
from geventchat.server.wire import Form

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
    pace: TokenBucket | None
    """How quickly it spoke, so that it is no quicker for coming back."""
    until: float = 0.0


class Hub:
    """Participants, nicks and rooms. Nothing here waits but what says so."""

    def __init__(self, limits: Limits, console: Console) -> None:
        self.limits = limits
        self._console = console
        self.delivery = Delivery()
        self._presence = Presence(self.delivery)
        self.rooms: dict[str, Room] = {}
        self._nicks: Nicks[Participant | Away] = Nicks()
        self._clients: dict[bytes, Participant | Away] = {}
        self._opened: Counter[str | None] = Counter()
        """Rooms by where they were opened from."""
        self._newcomers: dict[Member, float] = {}
        self.submissions = Submissions(self.rooms, self.delivery, console)
        self.opens: Counter[str] = Counter()
        """Sessions that began, by door."""
        self.closes: Counter[str] = Counter()
        """Sessions that ended, by reason."""
        self.clock = Clock(self.tick)
        self.sessions: dict[Participant, dict[str, Member]] = {}
        """Everybody who is connected, with their rooms."""
        self._absent: dict[Participant, list[Room]] = {}
        """Rooms that somebody dropped out of and has not come back to yet."""
        self.delivered = Event()
        """Set when the server ends and everything that was said is in the outboxes."""
        self.timeline: Timeline  # set once, by the server: each of the two needs the other

    def start(self, *, ticking: bool = True) -> None:
        """Open the lobby, begin to deliver, and if `ticking` to do once a second what is due then.

        May wait. Raises Refused `storage`.
        """
        self.timeline.open(names.LOBBY)  # for as long as the server runs
        self.delivery.start()
        self.greenlets = [self.delivery.greenlet]
        if ticking:
            self.greenlets.append(self.clock.start())

    def drain(self, seconds: float) -> None:
        """Let everybody's frames that have come so far be taken, and then no more. Waits."""
        gevent.wait([each.drain() for each in self.sessions], timeout=seconds)

    def end_all(self, reason: Reason) -> None:
        """Tell everybody to end."""
        for participant in self.sessions:
            participant.end(reason)

    def finish(self, seconds: float) -> None:
        """Wait until all that the timeline handed on is delivered, for some seconds."""
        with suppress(TimeoutError), gevent.Timeout(seconds, TimeoutError):
            while not self.delivery.idle:
                self.delivery.work()  # its greenlet may be what has died
                gevent.sleep(0.001)
        self.delivered.set()

    def stop(self) -> None:
        """Stop delivering and keeping time. Waits."""
        gevent.killall(self.greenlets, timeout=_STOP_SECONDS)

    # Coming and going

    def add(self, participant: Participant) -> dict[str, Member]:
        """Take somebody in, as the guest it is until it says otherwise; return its rooms.

        One that is `shut` out is a member of nothing before it is greeted.
        """
        rooms = self.sessions[participant] = {}
        self.opens[participant.door] += 1
        participant.nick = self._nicks.guest()
        if participant.locked_out is None:
            member = self._add(participant, self._enter(participant, names.LOBBY))
            self.go_live(member)
            self._newcomers[member] = time.monotonic() + _NEWCOMER_SECONDS
            self._console.came(participant.nick, participant.address, len(self.sessions))
        return rooms

    def authenticate(self, participant: Participant, client: bytes, form: Form) -> None:
        """Let somebody be rich from here on, as the client it is: with the nick that was held.

        The client's former connection, if it has one, is told to end. Raises Ending.
        """
        participant.check()
        if participant.locked_out is not None:
            participant.locked_out = None
            self._console.came(participant.nick, participant.address, len(self.sessions))
        for member in list(self.sessions[participant].values()):
            self._remove(member)
        participant.form = form
        participant.client = client
        former = self._clients.get(client)
        if former is not None and not isinstance(former, Away):
            former.end(REPLACED)
            former = self._drop(former)
        self._clients[client] = participant
        if former is not None:
            self._console.named(participant.nick, former.nick)
            participant.nick = former.nick
            self._absent[participant] = former.rooms
            if participant.pace is not None and former.pace is not None:
                participant.pace.go_on(former.pace)
        self._nicks.give(participant.nick, participant)

    def finish_resume(self, participant: Participant) -> None:
        """Tell the rooms to which a client that came back did not come back."""
        for room in self._absent.pop(participant, ()):
            self._presence.stays_away(room, participant.nick)
        self.delivery.work()

    def remove(self, participant: Participant, reason: Reason) -> None:
        """Let somebody go; if it is asked to come back, its nick is held for its client."""
        memberships = self.sessions.get(participant, {})
        self.closes[reason.code] += 1
        if self._clients.get(participant.client) is participant:
            away = self._drop(participant)
            away.until = time.monotonic() + self.limits.nick_hold_seconds
            self._clients[participant.client] = away
            self._nicks.give(away.nick, away)
            if not reason.reconnect:
                self._forget(away)
        for member in list(memberships.values()):
            self._remove(member)
        self.sessions.pop(participant, None)
        self._absent.pop(participant, None)
        if participant.locked_out is None:
            self._console.left(participant.nick, reason.code, len(self.sessions))
        self.delivery.work()

    def _drop(self, participant: Participant) -> Away:
        """Take a rich client out of its rooms; as the others see it, it is not yet gone."""
        self.finish_resume(participant)
        rooms = []
        for member in list(self.sessions[participant].values()):
            if member.announced:
                member.announced = False
                member.room.away.add(participant.nick)
                rooms.append(member.room)
            self._remove(member)
        return Away(participant.client, participant.nick, rooms, participant.pace)

    def _held(self, away: Away) -> bool:
        return self._clients.get(away.client) is away

    def _forget(self, away: Away) -> None:
        del self._clients[away.client]
        self._nicks.free(away.nick)
        for room in away.rooms:
            self._presence.stays_away(room, away.nick)

    # Nicks

    def rename(self, participant: Participant, text: str) -> str:
        """Give somebody another nick; return its spelling. Raises Refused, Ending."""
        participant.check()
        former = participant.nick
        nick = self._nicks.take(text, participant)
        if nick == former:
            return nick
        if names.fold(nick) != names.fold(former):
            self._nicks.free(former)
        participant.nick = nick
        self._console.named(former, nick)
        for room in self._absent.get(participant, ()):  # it comes back under another name
            if former in room.away:
                room.away.remove(former)
                room.away.add(nick)
                self._renamed(room, participant, former)
        for member in self.sessions[participant].values():
            if member.announced:
                self._renamed(member.room, participant, former)
        self.delivery.work()
        return nick

    def _renamed(self, room: Room, participant: Participant, former: str) -> None:
        participant.charge(room.rich_members)
        self._presence.renamed(room, participant, former)

    def find_rich(self, nick: str) -> Participant:
        """Return the rich client that goes by a nick. Raises Refused `no_such_nick`."""
        owner = self._nicks.owner(nick)
        if owner is None or isinstance(owner, Away):
            raise Refused("no_such_nick", f"{nick} is not online.")
        return owner

    def nick_of_client(self, client: bytes) -> str | None:
        """Return the nick of a client that is here, or whose nick is held."""
        former = self._clients.get(client)
        return former.nick if former is not None else None

    def find(self, nick: str) -> "Participant | Away | None":
        """Return who goes by a nick, held ones and plain guests' included."""
        owner = self._nicks.owner(nick)
        if owner is None:
            folded = names.fold(nick[: len(names.GUEST) + 20])
            owner = next((each for each in self.sessions if each.nick == folded), None)
        return owner

    # Rooms

    def join(self, participant: Participant, name: str) -> Member:
        """Make a rich client a member, who does not hear yet. May wait for a room to be opened.

        Raises Refused `too_many_rooms` and `storage`, Ending.
        """
        if name in self.rooms:
            return self._join(participant, name)
        with self.timeline.opened(name):
            return self._join(participant, name)

    def _join(self, participant: Participant, name: str) -> Member:
        participant.check()
        rooms = self.sessions[participant]
        if len(rooms) >= self.limits.rooms_per_client:
            text = f"You are in {len(rooms)} rooms, which is the limit. Leave one first."
            raise Refused("too_many_rooms", text, room=name)
        room = self._enter(participant, name)
        member = self._add(participant, room)
        member.announced = True
        if participant.nick in room.away:  # the others were never told that it was gone
            room.away.discard(participant.nick)
        else:
            participant.charge(0 if room.crowded else room.rich_members)
            self._presence.came(room, participant)
        self.delivery.work()
        return member

    def go_live(self, member: Member) -> None:
        """Let a member hear, who has heard everything up to its room's position."""
        if member.active:
            member.room.go_live(member)

    def leave(self, member: Member) -> None:
        """Let somebody go from one room, unless it is gone already."""
        if member.active:
            room = member.room
            member.participant.charge(0 if room.crowded else room.rich_members)
            self._remove(member)
        self.delivery.work()

    def participants_in(self, name: str) -> list[Participant]:
        """Return who is in a room, nobody if there is no such room."""
        room = self.rooms.get(name)
        return list(room.members) if room is not None else []

    def nicks_in(self, room: Room, most: int) -> list[str]:
        """Return the nicks of those who are in a room as the others see it."""
        nicks: list[str] = []
        for member in room.members.values():
            if member.announced:
                nicks.append(member.participant.nick)
                if len(nicks) == most:
                    return nicks
        return (nicks + sorted(room.away))[:most]

    def tell(self, room: Room, event: events.Event, exclude: Participant | None = None) -> None:
        """Let the rich members of a room hear an event."""
        self.delivery.tell(room, event, exclude)
        self.delivery.work()

    def announce(self, member: Member) -> None:
        """Tell the others of a plain guest, once."""
        if not member.announced and member.active:
            member.announced = True
            self._presence.came(member.room, member.participant)
            self.delivery.work()

    def _enter(self, participant: Participant, name: str) -> Room:
        """Return a room, made if it is not there; the timeline has it open."""
        room = self.rooms.get(name)
        if room is None:
            opener = None
            if name != names.LOBBY:
                opener = self._check_opener(participant, name)
            room = Room(name, self.timeline.position(name), self.timeline.topic(name), opener)
            self.rooms[name] = room
            self.timeline.hold(name)
            self._opened[opener] += 1
        return room

    def _check_opener(self, participant: Participant, name: str) -> str | None:
        """Return from where a room is opened, None if that is not counted. Raises Refused."""
        if len(self.rooms) >= self.limits.rooms:
            raise Refused("too_many_rooms", "Server room limit reached.", room=name)
        if participant.pace is None:
            return None
        opener = origin(participant.address)
        if self._opened[opener] >= max(self.limits.rooms // _OPENERS, 1):
            raise Refused("too_many_rooms", "Room limit for your address reached.", room=name)
        return opener

    def _add(self, participant: Participant, room: Room) -> Member:
        member = self.sessions[participant][room.name] = Member(participant, room)
        room.add(member)
        return member

    def _remove(self, member: Member) -> None:
        room = member.room
        room.remove(member)
        del self.sessions[member.participant][room.name]
        self._newcomers.pop(member, None)
        if member.announced:
            self._presence.went(room, member.participant.nick)
        if not room.members:  # what it was is in the timeline
            self.rooms.pop(room.name)
            self.timeline.release(room.name)
            self._opened[room.opener] -= 1
            if not self._opened[room.opener]:
                del self._opened[room.opener]

    def deliver(self, batch: Batch) -> None:
        """Hand on what a turn of the timeline brought. Never waits."""
        self.submissions.deliver(batch)

    # Time

    def tick(self, now: float) -> None:
        """Do what is due at a monotonic time: newcomers, crowds, nicks held, and the silent."""
        self.delivery.errand(self._due(now))
        self.delivery.work()

    def _due(self, now: float) -> Iterator[None]:
        for member in [each for each, due in self._newcomers.items() if due <= now]:
            if self._newcomers.pop(member, None) is not None:
                self.announce(member)
            yield
        self._presence.count()
        for client in list(self._clients.values()):
            if isinstance(client, Away) and client.until <= now and self._held(client):
                self._forget(client)
            yield
        for participant in list(self.sessions):
            try:
                participant.tick(now)
            except Exception:  # a bug with one must not keep the others waiting
                _log.exception("the clock failed for a session")
            yield
