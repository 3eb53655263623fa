"""Rooms that only some accounts may be in: private rooms, and direct conversations.

Nothing here waits.
"""

from dataclasses import dataclass, field
from typing import Final, Self

from msgspec import Struct

from geventchat.protocol.events import Person
from geventchat.server.people.account import Membership
from geventchat.server.people.records import decoded

PRIVATE: Final = "private"
"""The kind of its record."""


class _PrivateRecord(Struct, omit_defaults=True):
    created: int
    number: int
    from_join: bool = False
    between: list[str] = []


@dataclass(eq=False, slots=True)
class PrivateRoom:
    """A private room, or a conversation."""

    name: str
    created: int
    """Milliseconds since 1970, UTC."""
    number: int
    """Stands for the name in logs and figures; never used again."""
    from_join: bool = False
    """Whether members see only what was said after they joined."""
    between: list[str] = field(default_factory=list)
    """The ids of the two accounts of a conversation."""
    members: dict[str, Membership] = field(default_factory=dict)
    """By account id; invitations too."""
    newest: int = 0
    """The newest position in a conversation."""
    active: int = 0
    """When that was said, or the conversation began: about, in milliseconds since 1970."""
    stored: bool = True
    """Whether its record is known to be on disk."""
    ended: bool = False
    """Whether it could not be made: the record goes."""

    @property
    def record(self) -> tuple[str, str]:
        return PRIVATE, self.name

    def value(self) -> object:
        if self.ended:
            return None
        return _PrivateRecord(self.created, self.number, self.from_join, self.between)

    @classmethod
    def load(cls, name: str, value: bytes) -> Self:
        """Return the room of a record."""
        kept = decoded(_PrivateRecord, value)
        return cls(
            name, kept.created, kept.number, kept.from_join, kept.between, active=kept.created
        )

    @property
    def shown(self) -> str:
        """What stands for it in logs and figures; no name can be that, as names have no spaces."""
        return f"private room {self.number}"

    @property
    def joined(self) -> list[Membership]:
        """Those who are in it, in the order in which they joined."""
        joined = [membership for membership in self.members.values() if membership.joined]
        return sorted(joined, key=lambda membership: (membership.began, membership.account.id))

    @property
    def is_moderated(self) -> bool:
        """Whether a moderator is in it."""
        return any(each.joined and each.moderator for each in self.members.values())

    @property
    def moderators(self) -> list[Person]:
        """Its moderators, in the order in which they joined."""
        return [each.account.person for each in self.joined if each.moderator]
