"""Memberships: the open rooms, who is in them, and what their members hear of that."""

from collections import Counter
from itertools import islice
from typing import Final

from geventchat.config import Limits
from geventchat.protocol import events, names
from geventchat.protocol.errors import Refused
from geventchat.server.access.rate_limits import origin
from geventchat.server.chat.delivery import Delivery
from geventchat.server.chat.devices import Device, Devices
from geventchat.server.chat.directory import Directory
from geventchat.server.chat.elsewhere import Elsewhere
from geventchat.server.chat.owners import Owners
from geventchat.server.chat.presence import Presence
from geventchat.server.chat.room import Member, Room
from geventchat.server.logs.console import Console
from geventchat.server.participant import Participant
from geventchat.server.people.account import Account
from geventchat.server.people.people import People
from geventchat.server.timeline import Timeline
from geventchat.server.timeline.nodes import Typed

_OPENERS: Final = 4
"""The least number of addresses that can use up all rooms."""


class Memberships:
    """The part of the hub that opens and closes rooms. Nothing here waits unless it says so."""

    timeline: Timeline
    people: People

    def __init__(self, limits: Limits, console: Console) -> None:
        self.limits = limits
        self._console = console
        self.delivery = Delivery()
        self.rooms: dict[str, Room] = {}
        self.directory = Directory(self.rooms)
        self._presence = Presence(self.delivery, self.directory)
        self.elsewhere: Elsewhere | None = None
        """Who is in the rooms on any node; None: there is only this one."""
        self._opened: Counter[str | None] = Counter()
        """Open rooms by the address that opened them."""
        self._newcomers: dict[Member, float] = {}
        """Plain guests that are not announced yet, and when they will be."""
        self.sessions: dict[Participant, dict[str, Member]] = {}
        """All participants, with their memberships by room."""
        self.devices = Devices(self.sessions)
        self.owners = Owners(self.sessions, self.devices)
        self.absent: dict[Participant, list[Room]] = {}
        """Rooms that a returning client has not rejoined yet."""

    def join(self, participant: Participant, name: str, *, following: bool = False) -> Member:
        """Make a rich client a member that is not live yet. May wait to open the room.

        `following`: only if its account is in the room already. Raises Refused `forbidden`,
        `not_joined`, `too_many_rooms` and `storage`, Ending.
        """
        if name in self.rooms:
            return self._join(participant, name, following)
        # First, so that it takes as long whether there is such a room or not.
        self._check_join(participant.account, name, following)
        with self.timeline.opened(name):
            return self._join(participant, name, following)

    def _join(self, participant: Participant, name: str, following: bool) -> Member:
        participant.check()
        self._check_join(participant.account, name, following)
        rooms = self.sessions[participant]
        if len(rooms) >= self.limits.rooms_per_client and not names.is_conversation(name):
            count = sum(not names.is_conversation(room) for room in rooms)
            if count >= self.limits.rooms_per_client:
                text = f"You are in {count} rooms, which is the limit. Leave one first."
                raise Refused("too_many_rooms", text, room=name)
        room = self._enter(participant, name)
        member = self._add(participant, room)
        member.announced = True
        if self.devices.announced_by_another(member):
            pass  # the others know already
        elif participant.nick in room.away and self._presence.awaits(room, participant):
            room.away.discard(participant.nick)
        else:
            participant.charge(0 if room.crowded else room.rich_members)
            self._presence.joined(room, participant)
        self.delivery.work()
        return member

    def _check_join(self, account: Account | None, name: str, following: bool) -> None:
        """Raise Refused `not_joined` if an account that was in a room left it, or `forbidden`."""
        if not following:
            self.people.check_join(account, name)
        elif account is None or not account.is_in(name):
            raise Refused("not_joined", f"You are not in {name}.", room=name)

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

    def nicks_in(self, room: Room, most: int) -> dict[str, str | None]:
        """Return up to `most` nicks of announced members, including held ones.

        With each comes the id of its account, if it has one.
        """
        if self.elsewhere is not None:
            people = islice(self.elsewhere.people(room.name), most)
            return {person.nick: person.account for person in people}
        nicks: dict[str, str | None] = {}
        for member in room.members.values():
            if member.announced:
                account = member.participant.account
                nicks[member.participant.nick] = account.id if account is not None else None
                if len(nicks) == most:
                    return nicks
        for nick in sorted(room.away)[: most - len(nicks)]:
            account = self.owners.find_account(nick)
            nicks[nick] = account.id if account is not None else None
        return nicks

    def is_used(self, room: str) -> bool:
        """Return whether anybody is in a room, on any node."""
        return room in self.rooms or (self.elsewhere is not None and self.elsewhere.on_others(room))

    def typing(self, room: Room, participant: Participant) -> None:
        """Tell the members of a room, on any node, that one of them is typing."""
        self.tell(room, events.Typing(room=room.name, nick=participant.nick), participant)
        if self.elsewhere is not None and self.elsewhere.on_others(room.name):
            self.timeline.nodes.tell(Typed(room.name, participant.nick, room.newest))

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
            private = self.people.number(name)
            position, topic = self.timeline.position(name), self.timeline.topic(name)
            room = Room(name, position, topic, opener, private, self.timeline.change(name))
            self.rooms[name] = room
            self.timeline.hold(name)
            self._opened[opener] += 1
            if self.elsewhere is not None:
                self._presence.opened(room)
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
        if member.announced and not self.devices.announced_by_another(member):
            self._presence.left(room, member.participant)
        if not room.members:
            self.close_if_unused(room)

    def close_if_unused(self, room: Room) -> None:
        """Close a room without members, unless other nodes see one who may come back here."""
        if room.members or (room.away and self.elsewhere is not None):
            return
        self.rooms.pop(room.name)  # the timeline has all there is to know
        self._presence.closed(room)
        self.timeline.release(room.name)
        self._opened[room.opener] -= 1
        if not self._opened[room.opener]:
            del self._opened[room.opener]

    def stays_away(self, room: Room, device: Device) -> None:
        """Announce that a client has left a room that it did not rejoin, if nobody knows yet."""
        if not self.devices.awaited_elsewhere(device, room, self.absent):
            self._presence.stays_away(room, device)
            if self.elsewhere is not None and self.rooms.get(room.name) is room:
                self.close_if_unused(room)
