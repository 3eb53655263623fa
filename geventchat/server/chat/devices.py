"""Devices: the connections of each account, and those that were lost a moment ago.

Nothing here waits.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from geventchat.server.chat.away import Away
from geventchat.server.chat.room import Member, Room
from geventchat.server.participant import Participant
from geventchat.server.people.account import Account
from geventchat.server.timeline.nodes import Person

Device: TypeAlias = Participant | Away


def person_of(device: Device) -> Person:
    """Return somebody as the members of a room on any node see them."""
    if device.account is not None:
        return Person(device.account.id, device.nick, device.account.id)
    return Person(device.client.hex() or device.nick, device.nick)


class Devices:
    """Clients by account; a guest is its only device."""

    def __init__(self, sessions: Mapping[Participant, Mapping[str, Member]]) -> None:
        """`sessions` are the hub's."""
        self._sessions = sessions
        self._by_account: dict[Account, list[Device]] = {}

    def add(self, device: Device) -> None:
        """Add a client of an account, connected or away."""
        if device.account is not None:
            self._by_account.setdefault(device.account, []).append(device)

    def remove(self, device: Device) -> None:
        """Remove a client, unless it was removed already."""
        if device.account is None:
            return
        devices = self._by_account.get(device.account, [])
        if device in devices:
            devices.remove(device)
        if not devices:
            self._by_account.pop(device.account, None)

    def of(self, account: Account) -> list[Device]:
        """Return the clients of an account."""
        return list(self._by_account.get(account, ()))

    def of_same(self, device: Device) -> list[Device]:
        """Return all clients of the same person, itself included."""
        return [device] if device.account is None else self.of(device.account)

    def connected(self, account: Account) -> list[Participant]:
        """Return the connections of an account."""
        return [each for each in self._by_account.get(account, ()) if not isinstance(each, Away)]

    def members(self, account: Account, room: str) -> list[Member]:
        """Return the memberships of the connections of an account in a room."""
        found = (self._sessions.get(each, {}).get(room) for each in self.connected(account))
        return [member for member in found if member is not None]

    def announced_by_another(self, member: Member) -> bool:
        """Return whether the others know of this person by another connection in the room."""
        account = member.participant.account
        return account is not None and any(
            other.announced and other is not member
            for other in self.members(account, member.room.name)
        )

    def awaited_elsewhere(
        self, device: Device, room: Room, absent: Mapping[Participant, Sequence[Room]]
    ) -> bool:
        """Return whether another lost client of the same person may come back to a room.

        Or is coming back: `absent` are the rooms that returning clients have not rejoined yet.
        """
        return any(
            other is not device
            and room in (other.rooms if isinstance(other, Away) else absent.get(other, ()))
            for other in self.of_same(device)
        )

    def __len__(self) -> int:
        return len(self._by_account)

    def __iter__(self) -> Iterator[Account]:
        return iter(self._by_account)
