"""Presence in rooms whose members are on several nodes: what is announced is the union of them."""

from collections.abc import Iterable, Mapping

from geventchat.server.chat import presence
from geventchat.server.chat.away import Away
from geventchat.server.chat.delivery import Delivery
from geventchat.server.chat.devices import Device, person_of
from geventchat.server.chat.directory import Directory
from geventchat.server.chat.elsewhere import Changes, Elsewhere, News
from geventchat.server.chat.presence import Presence
from geventchat.server.chat.room import Room
from geventchat.server.participant import Participant
from geventchat.server.people.people import People


class SharedPresence(Presence):
    """Announces who comes and goes on any node; the others hear of who does on this one."""

    def __init__(
        self,
        delivery: Delivery,
        directory: Directory,
        rooms: Mapping[str, Room],
        people: People,
        elsewhere: Elsewhere,
    ) -> None:
        """`rooms` and `people` are the hub's."""
        super().__init__(delivery, directory)
        self._rooms = rooms
        self._people = people
        self._elsewhere = elsewhere

    def opened(self, room: Room) -> None:
        """Count the members of a room on other nodes, as this one opens it."""
        room.count = self._elsewhere.count(room.name)
        room.crowded = room.count > presence.CROWDED

    def closed(self, room: Room) -> None:
        """List a room with its members on other nodes, if there are any."""
        self._update(room.name, ())

    def awaits(self, room: Room, participant: Participant) -> bool:
        return person_of(participant).id in self._elsewhere.here(room.name)

    def joined(self, room: Room, participant: Participant) -> None:
        news = self._elsewhere.joined(room.name, person_of(participant))
        self._update(room.name, () if news is None else (news,), participant)

    def left(self, room: Room, device: Device) -> None:
        news = self._elsewhere.left(room.name, person_of(device).id)
        self._update(room.name, () if news is None else (news,))

    def renamed(self, room: Room, device: Device, former: str) -> None:
        news = self._elsewhere.joined(room.name, person_of(device))
        exclude = device if not isinstance(device, Away) else None
        self._update(room.name, () if news is None else (news,), exclude)

    def reidentified(self, room: str, participant: Participant, former: str) -> None:
        """Follow that somebody in a room has another id: a guest is an account by now, or back."""
        if former in self._elsewhere.here(room):
            self._elsewhere.joined(room, person_of(participant))
            self._elsewhere.left(room, former)
            self._update(room, ())

    def gave_up(self, room: Room, number: str) -> None:
        """Remove somebody from this node who is in a room on another: that changes nothing."""
        news = self._elsewhere.left(room.name, number)
        self._update(room.name, () if news is None else (news,))

    def follow(self, changes: Changes) -> None:
        """Announce what has changed in some rooms; the caller then has delivery work."""
        for room, told in changes.items():
            self._update(room, told)

    def _update(self, name: str, told: Iterable[News], exclude: Participant | None = None) -> None:
        """Count a room's members anew, and announce what has changed."""
        count = self._elsewhere.count(name)
        room = self._rooms.get(name)
        if room is None:
            self._directory.place(name, 0 if self._people.number(name) else count)
            return
        changed = room.count != count
        room.count = count
        self._directory.update(room)
        room.crowded = count >= presence.UNCROWDED if room.crowded else count > presence.CROWDED
        if self._only_count(room):
            if changed:
                self._counted.add(room)
            return
        for number, event in told:
            if event.event != "rename":
                self._delivery.tell(room, event, exclude)
            elif room.tell_renamed(number, event, exclude):
                self._delivery.add(room)
