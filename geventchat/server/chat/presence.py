"""Presence: what the others in a room are told of who comes, goes, or takes another nick.

A crowd is told of by its number alone. Nothing here waits; what is told goes out with `work`.
"""

from typing import Final

from geventchat.protocol import events
from geventchat.server.chat.delivery import Delivery
from geventchat.server.chat.room import Room
from geventchat.server.participant import Participant

CROWDED: Final = 200
"""Members above which presence is a number."""
_UNCROWDED: Final = 150


class Presence:
    """Keeps each room's `count` and `crowded`, and tells the room."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self._counted: set[Room] = set()
        """Crowded rooms whose number has changed."""

    def came(self, room: Room, participant: Participant) -> None:
        """Tell the others that somebody is here."""
        room.count += 1
        room.crowded = room.crowded or room.count > CROWDED
        presence = events.Presence(room=room.name, nick=participant.nick, event="join")
        self._tell(room, presence, participant)

    def went(self, room: Room, nick: str) -> None:
        """Tell those who are here that somebody is not."""
        room.count -= 1
        room.crowded = room.crowded and room.count >= _UNCROWDED
        self._tell(room, events.Presence(room=room.name, nick=nick, event="leave"))

    def stays_away(self, room: Room, nick: str) -> None:
        """Tell that somebody is gone who dropped and did not come back here, if that is so."""
        if nick in room.away:
            room.away.discard(nick)
            self.went(room, nick)

    def renamed(self, room: Room, participant: Participant, former: str) -> None:
        """Tell the others a nick that was another; a crowd is not told."""
        if not room.crowded and room.tell_rename(participant, former):
            self._delivery.add(room)

    def count(self) -> None:
        """Tell the crowded rooms how many they are, if that has changed."""
        counted, self._counted = self._counted, set()
        for room in counted:
            self._delivery.tell(room, events.Presence(room=room.name, count=room.count))

    def _tell(
        self, room: Room, presence: events.Presence, exclude: Participant | None = None
    ) -> None:
        if room.crowded:
            self._counted.add(room)
        else:
            self._delivery.tell(room, presence, exclude)
