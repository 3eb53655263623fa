"""Presence: announces joins, leaves and renames to a room.

In a crowded room, or a frozen one where a nick could be a message, only the number of members is
announced. Nothing here waits; events are sent by the next `Delivery.work`.
"""

from collections.abc import Callable
from typing import Final

from geventchat.protocol import events
from geventchat.server.chat.away import Away
from geventchat.server.chat.delivery import Delivery
from geventchat.server.chat.directory import Directory
from geventchat.server.chat.room import Room
from geventchat.server.participant import Participant

CROWDED: Final = 200
"""Number of members above which only the number is announced."""
UNCROWDED: Final = 150


class Presence:
    """Updates each room's `count` and `crowded`, and announces changes."""

    def __init__(self, delivery: Delivery, directory: Directory) -> None:
        self._delivery = delivery
        self._directory = directory
        self.frozen: Callable[[str], bool] = lambda _: False
        """Whether operators have frozen a room."""
        self._counted: set[Room] = set()
        """Crowded and frozen rooms whose number of members has changed."""

    def opened(self, room: Room) -> None:
        """Note that a room was opened; nobody is in it."""

    def closed(self, room: Room) -> None:
        """Take a room that was closed out of the directory, if the last of its members are away."""
        if room.count:
            self._directory.update(room)

    def awaits(self, room: Room, participant: Participant) -> bool:
        """Return whether a client whose nick is held in a room was there, as all believe it is."""
        return True

    def joined(self, room: Room, participant: Participant) -> None:
        """Count a new member and announce it to the others."""
        room.count += 1
        if not room.private:
            self._directory.place(room.name, room.count)
        room.crowded = room.crowded or room.count > CROWDED
        presence = events.Presence(
            room=room.name,
            nick=participant.nick,
            event="join",
            account=participant.account.id if participant.account is not None else None,
        )
        self._tell(room, presence, participant)

    def left(self, room: Room, device: Participant | Away) -> None:
        """Count a member less and announce it to the others."""
        room.count -= 1
        self._directory.update(room)
        room.crowded = room.crowded and room.count >= UNCROWDED
        number = device.account.id if device.account is not None else None
        presence = events.Presence(room=room.name, nick=device.nick, event="leave", account=number)
        self._tell(room, presence)

    def stays_away(self, room: Room, device: Participant | Away) -> None:
        """Announce the leave of a dropped client that did not resume in this room, if any."""
        if device.nick in room.away:
            room.away.discard(device.nick)
            self.left(room, device)

    def renamed(self, room: Room, device: Participant | Away, former: str) -> None:
        """Announce a rename to the others, unless the room is crowded or frozen.

        Only somebody on another node can rename a client that is away.
        """
        if self._only_count(room) or isinstance(device, Away):
            return
        if room.tell_rename(device, former):
            self._delivery.add(room)

    def _only_count(self, room: Room) -> bool:
        return room.crowded or self.frozen(room.name)

    def count(self) -> None:
        """Announce the number of members to crowded and frozen rooms in which it has changed."""
        counted, self._counted = self._counted, set()
        for room in counted:
            self._delivery.tell(room, events.Presence(room=room.name, count=room.count))

    def _tell(
        self, room: Room, presence: events.Presence, exclude: Participant | None = None
    ) -> None:
        if self._only_count(room):
            self._counted.add(room)
        else:
            self._delivery.tell(room, presence, exclude)
