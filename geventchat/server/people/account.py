"""An account, and its memberships. Nothing here waits."""

import time
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Self

from msgspec import Struct

from geventchat.protocol import names
from geventchat.protocol.events import Person
from geventchat.protocol.names import fold
from geventchat.server.people.records import decoded

FORMER_MS: Final = 30 * 24 * 60 * 60 * 1000
"""How long a former nick is kept from others."""
MOST_FORMER: Final = 20
"""Former nicks of an account: all of them are kept from others, and written at each change."""
ACCOUNT: Final = "account"
MEMBERSHIP: Final = "membership"
"""Kinds of records."""


class _AccountRecord(Struct, omit_defaults=True):
    nick: str
    created: int
    password: str = ""
    former: dict[str, int] = {}
    blocked: list[str] = []
    removed: bool = False


@dataclass(eq=False, slots=True)
class Account:
    """One person, on any number of connections."""

    id: str
    """Public; never changes, and is never used again."""
    nick: str
    """Changed by the hub, together with the nicks of its connections."""
    created: int
    """Milliseconds since 1970, UTC."""
    password: str = ""
    """Its hash, as argon2 writes it."""
    former: dict[str, int] = field(default_factory=dict)
    """Former nicks, and until when they are kept from others: ms since 1970."""
    blocked: dict[str, None] = field(default_factory=dict)
    """The ids of the accounts that it has blocked, in order."""
    removed: bool = False
    """Whether it was removed: then its id and posts are all there is."""
    discarded: bool = False
    """Whether it never was: it could not be stored."""
    memberships: "dict[str, Membership]" = field(default_factory=dict)
    """By room, in the order in which they began; invitations too."""

    @property
    def record(self) -> tuple[str, str]:
        return ACCOUNT, self.id

    def value(self) -> object:
        if self.discarded:
            return None
        return _AccountRecord(
            self.nick, self.created, self.password, self.former, list(self.blocked), self.removed
        )

    @classmethod
    def load(cls, number: str, value: bytes) -> Self:
        """Return the account of a record."""
        kept = decoded(_AccountRecord, value)
        blocked = dict.fromkeys(kept.blocked)
        return cls(
            number, kept.nick, kept.created, kept.password, kept.former, blocked, kept.removed
        )

    def may_take(self, nick: str) -> bool:
        """Return whether it may have a nick, since few former ones are kept for it."""
        folded = fold(nick)
        own = {fold(each) for each in (self.nick, *self.former)}
        return folded in own or len(self.former) < MOST_FORMER

    def rename(self, nick: str) -> None:
        """Change its nick; the former one is kept from others for a while."""
        former = self.nick
        self.nick = nick
        self.former = {
            each: until for each, until in self.former.items() if fold(each) != fold(nick)
        }
        if fold(former) != fold(nick):
            self.former[former] = now_ms() + FORMER_MS

    def forget_former(self) -> list[str]:
        """Forget former nicks that were kept long enough; return them."""
        now = now_ms()
        over = [nick for nick, until in self.former.items() if until <= now]
        for nick in over:
            del self.former[nick]
        return over

    @property
    def person(self) -> Person:
        """What others see of it."""
        return Person(self.nick, self.id)

    def is_in(self, room: str) -> bool:
        """Return whether it is in a room, not only invited."""
        membership = self.memberships.get(room)
        return membership is not None and membership.joined

    @property
    def rooms(self) -> list[str]:
        """The rooms that it is in, except conversations."""
        return [
            room
            for room, membership in self.memberships.items()
            if membership.joined and not names.is_conversation(room)
        ]


class _MembershipRecord(Struct, omit_defaults=True):
    joined: bool = True
    began: int = 0
    since: int = 0
    moderator: bool = False
    muted: int | None = None
    invited_by: str = ""
    epoch: str = ""
    read: int = 0
    mentions: list[int] = []
    own: list[int] = []
    muted_by: str = ""
    ended: str = ""


MOST_COUNTED: Final = 999
"""Unread posts, and mentions, that are counted."""


class Mark(NamedTuple):
    """How far an account has read a room."""

    read: int
    """The position."""
    unread: int
    """Posts after it that are stored and not the account's own, up to MOST_COUNTED,"""
    mentions: int
    """and those of them that mention the account."""


@dataclass(eq=False, slots=True)
class Membership:
    """What is kept of an account in one room."""

    account: Account
    room: str
    joined: bool = True
    """False: it is invited, or has closed the conversation."""
    began: int = 0
    """When it joined, in milliseconds since 1970."""
    since: int = 0
    """The room's newest position when it joined, or closed the conversation."""
    moderator: bool = False
    muted: int | None = None
    """Until when it may not post there, in ms since 1970; 0: until undone; None: it may."""
    invited_by: str = ""
    """The nick of who invited it."""
    epoch: str = ""
    """The epoch of its mark."""
    read: int = 0
    """The position up to which it has read."""
    mentions: list[int] = field(default_factory=list)
    """Positions after that at which it is mentioned, in order; the newest MOST_COUNTED."""
    own: list[int] = field(default_factory=list)
    """Posts of its own after that: the first and last position of each run of them, in order.

    Between two runs is a post of somebody else, so the newest MOST_COUNTED runs are enough.
    """
    muted_by: str = ""
    """The nick of who last muted it, or undid that."""
    ended: bool = False
    """Whether it is no longer in the room: the record goes, unless a reason is kept."""
    reason: str = ""
    """Why it ended, if other nodes have to tell the account."""
    other: Account | None = None
    """The other one in a conversation."""

    @property
    def record(self) -> tuple[str, str]:
        return MEMBERSHIP, f"{self.account.id}/{self.room}"

    def value(self) -> object:
        if self.ended:
            return _MembershipRecord(joined=False, ended=self.reason) if self.reason else None
        return _MembershipRecord(
            self.joined,
            self.began,
            self.since,
            self.moderator,
            self.muted,
            self.invited_by,
            self.epoch,
            self.read,
            self.mentions,
            self.own,
            self.muted_by,
        )

    @property
    def is_invitation(self) -> bool:
        """Whether the account may join the room, and has not yet."""
        return not self.joined and self.other is None

    def begin(self, epoch: str, position: int) -> None:
        """Begin its mark at a position, in an epoch."""
        self.epoch, self.read = epoch, position
        self.mentions, self.own = [], []

    def read_to(self, position: int) -> bool:
        """Move its mark, but never back; return whether it moved."""
        if position <= self.read:
            return False
        self.read = position
        self.mentions = self.mentions[bisect_right(self.mentions, position) :]
        first = bisect_right(self.own[1::2], position)
        self.own = self.own[2 * first :]
        if self.own:
            self.own[0] = max(self.own[0], position + 1)
        return True

    def say(self, position: int) -> bool:
        """Count a post of its own; return whether it was not counted yet.

        Mostly the newest; but a node that starts may find one that is missing between others.
        """
        if position <= self.read:
            return False
        if not self.own or position > self.own[-1] + 1:
            self.own += (position, position)
        elif position > self.own[-1]:
            self.own[-1] = position
        else:
            former, self.own = self.own, _runs(self.own, [position, position])
            if self.own == former:
                return False
        del self.own[: -2 * MOST_COUNTED]
        return True

    def mention(self, position: int) -> bool:
        """Count a post that mentions it; return whether it was not counted yet. As `say`."""
        if position <= self.read:
            return False
        place = bisect_left(self.mentions, position)
        if self.mentions[place : place + 1] == [position]:
            return False
        self.mentions.insert(place, position)
        del self.mentions[:-MOST_COUNTED]
        return True

    def merge(self, theirs: "Membership") -> bool:
        """Take over what another node, in the same epoch, knows of its mark.

        Both count the same posts, in the same order. Returns whether the other has counted all
        that is counted here up to the newest that it has.
        """
        self.read_to(theirs.read)
        theirs.read_to(self.read)
        self.mentions = sorted({*self.mentions, *theirs.mentions})[-MOST_COUNTED:]
        self.own = _runs(self.own, theirs.own)[-2 * MOST_COUNTED :]
        newest = max([*theirs.mentions[-1:], *theirs.own[-1:]], default=0)
        mentions = [position for position in self.mentions if position <= newest]
        own = [
            min(position, newest)
            for first, last in zip(self.own[::2], self.own[1::2], strict=True)
            if first <= newest
            for position in (first, last)
        ]
        return mentions == theirs.mentions and own == theirs.own

    def mark(self, oldest: int, newest: int) -> Mark:
        """Return its mark; unread are posts from `oldest` to `newest`."""
        before = max(self.read, oldest - 1)
        own = sum(
            max(min(last, newest) - max(first - 1, before), 0)
            for first, last in zip(self.own[::2], self.own[1::2], strict=True)
        )
        mentions = bisect_right(self.mentions, newest) - bisect_right(self.mentions, before)
        unread = max(newest - before - own, 0)
        return Mark(self.read, min(unread, MOST_COUNTED), max(mentions, 0))

    @classmethod
    def load(cls, account: Account, room: str, value: bytes) -> Self:
        """Return the membership of a record."""
        kept = decoded(_MembershipRecord, value)
        return cls(
            account,
            room,
            kept.joined,
            kept.began,
            kept.since,
            kept.moderator,
            kept.muted,
            kept.invited_by,
            kept.epoch,
            kept.read,
            kept.mentions,
            kept.own,
            kept.muted_by,
            bool(kept.ended),
            kept.ended,
        )


def _runs(*several: list[int]) -> list[int]:
    """Return the union of runs of positions: the first and last position of each, in order."""
    union: list[int] = []
    for first, last in sorted(
        pair for runs in several for pair in zip(runs[::2], runs[1::2], strict=True)
    ):
        if union and first <= union[-1] + 1:
            union[-1] = max(union[-1], last)
        else:
            union += (first, last)
    return union


def now_ms() -> int:
    """Return the milliseconds since 1970."""
    return int(time.time() * 1000)
