"""The hub: who is connected, under which nick, in which rooms.

All of it changes only in stretches that never switch. The hub decides when joins and leaves are
announced: a lost connection not while the nick is held for its client, a plain guest only when it
has spoken or stayed a second. The log does not mention one before that either.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

import gevent
from gevent.event import Event

from geventchat.config import Limits
from geventchat.protocol import events, names
from geventchat.protocol.errors import REPLACED, Reason, Refused
from geventchat.server.access.rate_limits import origin
from geventchat.server.chat.away import Away, whose
from geventchat.server.chat.clock import Clock
from geventchat.server.chat.delivery import Delivery
from geventchat.server.chat.directory import Directory
from geventchat.server.chat.nicks import Nicks
from geventchat.server.chat.presence import Presence
from geventchat.server.chat.room import Member, Room
from geventchat.server.chat.submissions import Submissions
from geventchat.server.logs.console import Console
from geventchat.server.participant import Participant
from geventchat.server.timeline import Timeline
from geventchat.server.wire import Form

_OPENERS: Final = 4
"""The least number of addresses that can use up all rooms."""
_NEWCOMER_SECONDS: Final = 1.0
"""How long a silent plain guest stays unannounced."""
_STOP_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


class Hub:
    """Participants, nicks and rooms. Nothing here waits unless it says so."""

    def __init__(self, limits: Limits, console: Console) -> None:
        self.limits = limits
        self._console = console
        self.delivery = Delivery()
        self.rooms: dict[str, Room] = {}
        self.directory = Directory(self.rooms)
        self._presence = Presence(self.delivery, self.directory)
        self._nicks: Nicks[Participant | Away] = Nicks(whose)
        self._clients: dict[bytes, Participant | Away] = {}
        self._opened: Counter[str | None] = Counter()
        """Open rooms by the address that opened them."""
        self._newcomers: dict[Member, float] = {}
        self.submissions = Submissions(self.rooms, self.delivery, console)
        self.opens: Counter[str] = Counter()
        """Sessions that began, by door."""
        self.closes: Counter[str] = Counter()
        """Sessions that ended, by reason."""
        self.clock = Clock(self.tick)
        self.sessions: dict[Participant, dict[str, Member]] = {}
        """All participants, with their memberships by room."""
        self._absent: dict[Participant, list[Room]] = {}
        """Rooms that a returning client has not rejoined yet."""
        self.delivered = Event()
        """Set during shutdown, when everything stored is in the outboxes."""
        self.timeline: Timeline  # set once, by the server: each of the two needs the other

    def quieten(self, frozen: Callable[[str], bool]) -> None:
        """Announce only the number of members in rooms for which `frozen` is true."""
        self._presence.frozen = frozen

    def start(self, *, ticking: bool = True) -> None:
        """Open the lobby, start delivery and, if `ticking`, the clock.

        May wait. Raises Refused `storage`.
        """
        self.timeline.open(names.LOBBY)  # for as long as the server runs
        self.delivery.start()
        self.greenlets = [self.delivery.greenlet]
        if ticking:
            self.greenlets.append(self.clock.start())

    def drain(self, seconds: float) -> None:
        """Take the frames that have arrived so far, and then no more. Waits up to `seconds`."""
        gevent.wait([each.drain() for each in self.sessions], timeout=seconds)

    def end_all(self, reason: Reason) -> None:
        """End every session."""
        for participant in self.sessions:
            participant.end(reason)

    def finish(self, seconds: float) -> None:
        """Wait until everything stored is delivered, for up to `seconds`."""
        with suppress(TimeoutError), gevent.Timeout(seconds, TimeoutError):
            while not self.delivery.idle:
                self.delivery.work()  # its greenlet may be what has died
                gevent.sleep(0.001)
        self.delivered.set()

    def stop(self) -> None:
        """Stop delivering and keeping time. Waits."""
        gevent.killall(self.greenlets, timeout=_STOP_SECONDS)

    # Connecting and leaving

    def add(self, participant: Participant) -> dict[str, Member]:
        """Add a participant as a guest in the lobby; return its memberships, which stay current.

        One that is locked out is a member of nothing until it is authenticated.
        """
        rooms = self.sessions[participant] = {}
        self.opens[participant.door] += 1
        participant.nick = self._nicks.guest()
        if participant.locked_out is None:
            member = self._add(participant, self._enter(participant, names.LOBBY))
            self.go_live(member)
            self._newcomers[member] = time.monotonic() + _NEWCOMER_SECONDS
        return rooms

    def authenticate(self, participant: Participant, client: bytes, form: Form) -> None:
        """Make a participant rich, as a known client with the nick that is held for it.

        The client's former connection, if it has one, is ended. Raises Ending.
        """
        participant.check()
        participant.locked_out = None
        if not self._introduced(participant):
            self._console.connected(participant.nick, participant.address, len(self.sessions))
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
            self._console.renamed(participant.nick, former.nick)
            participant.nick = former.nick
            self._absent[participant] = former.rooms
            if participant.pace is not None and former.pace is not None:
                participant.pace.go_on(former.pace)
        self._nicks.give(participant.nick, participant)

    def finish_resume(self, participant: Participant) -> None:
        """Announce that a returning client has left the rooms it did not rejoin."""
        for room in self._absent.pop(participant, ()):
            self._presence.stays_away(room, participant.nick)
        self.delivery.work()

    def remove(self, participant: Participant, reason: Reason) -> None:
        """Remove a participant; if it may reconnect, its nick is held for its client."""
        memberships = self.sessions.get(participant, {})
        introduced = self._introduced(participant)
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
        if introduced:
            self._console.disconnected(participant.nick, reason.code, len(self.sessions))
        else:  # it was never announced: a health check, or another protocol
            self._nicks.take_back(participant.nick)
            participant.nick = ""
        self.delivery.work()

    def _introduced(self, participant: Participant) -> bool:
        """Return whether a participant has said anything yet, or stayed for a second."""
        members = self.sessions.get(participant, {}).values()
        return bool(participant.client) or any(member.announced for member in members)

    def _drop(self, participant: Participant) -> Away:
        """Remove a rich client from its rooms without announcing it yet."""
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
        """Change a nick; return it as it is spelled. Raises Refused, Ending."""
        participant.check()
        former = participant.nick
        nick = self._nicks.take(text, participant)
        if nick == former:
            return nick
        if names.fold(nick) != names.fold(former):
            self._nicks.free(former)
        participant.nick = nick
        self._console.renamed(former, nick)
        for room in self._absent.get(participant, ()):  # it returns under another nick
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
        """Return the connected rich client with a nick. Raises Refused `no_such_nick`."""
        owner = self._nicks.owner(nick)
        if owner is None or isinstance(owner, Away):
            raise Refused("no_such_nick", f"{nick} is not online.")
        return owner

    def nick_of_client(self, client: bytes) -> str | None:
        """Return the nick that a client has or that is held for it, if any."""
        former = self._clients.get(client)
        return former.nick if former is not None else None

    def find(self, nick: str) -> "Participant | Away | None":
        """Return the owner of a nick, including held nicks and plain guests."""
        owner = self._nicks.owner(nick)
        if owner is None:
            folded = names.fold(nick[: len(names.GUEST) + 20])
            owner = next((each for each in self.sessions if each.nick == folded), None)
        return owner

    # Rooms

    def join(self, participant: Participant, name: str) -> Member:
        """Make a rich client a member that is not live yet. May wait to open the room.

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
        if participant.nick in room.away:  # its leave was never announced
            room.away.discard(participant.nick)
        else:
            participant.charge(0 if room.crowded else room.rich_members)
            self._presence.joined(room, participant)
        self.delivery.work()
        return member

    def go_live(self, member: Member) -> None:
        """Make a member live that has received everything up to its room's position."""
        if member.active:
            member.room.go_live(member)

    def leave(self, member: Member) -> None:
        """End a membership, unless it has ended already."""
        if member.active:
            room = member.room
            member.participant.charge(0 if room.crowded else room.rich_members)
            self._remove(member)
        self.delivery.work()

    def participants_in(self, name: str) -> list[Participant]:
        """Return the members of a room; none if there is no such room."""
        room = self.rooms.get(name)
        return list(room.members) if room is not None else []

    def nicks_in(self, room: Room, most: int) -> list[str]:
        """Return up to `most` nicks of announced members, including held ones."""
        nicks: list[str] = []
        for member in room.members.values():
            if member.announced:
                nicks.append(member.participant.nick)
                if len(nicks) == most:
                    return nicks
        return (nicks + sorted(room.away))[:most]

    def tell(self, room: Room, event: events.Event, exclude: Participant | None = None) -> None:
        """Send an event to the rich members of a room."""
        self.delivery.tell(room, event, exclude)
        self.delivery.work()

    def announce(self, member: Member) -> None:
        """Announce a plain guest, once."""
        if not member.announced and member.active:
            guest, member.announced = member.participant, True
            self._console.connected(guest.nick, guest.address, len(self.sessions))
            self._presence.joined(member.room, guest)
            self.delivery.work()

    def _enter(self, participant: Participant, name: str) -> Room:
        """Return a room, creating it if needed; the timeline has it open."""
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
        """Return the address that opens a room; None: it is not counted. Raises Refused."""
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
            self._presence.left(room, member.participant.nick)
        if not room.members:  # the timeline has all there is to know
            self.rooms.pop(room.name)
            self.directory.update(room)
            self.timeline.release(room.name)
            self._opened[room.opener] -= 1
            if not self._opened[room.opener]:
                del self._opened[room.opener]

    # Time

    def tick(self, now: float) -> None:
        """Start what is due: newcomers, crowd counts, held nicks, silent clients. Never waits."""
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
