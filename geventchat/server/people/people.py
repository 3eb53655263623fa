"""Everybody who has an account, and the rooms that only some of them may be in.

All of it is in memory, and on disk before anything is confirmed that depends on it. Nothing here
waits unless it says so.
"""

import secrets
from collections import Counter
from collections.abc import Iterable
from typing import Final

import msgspec

from geventchat.protocol import names
from geventchat.protocol.errors import Refused
from geventchat.server.people.account import ACCOUNT, MEMBERSHIP, Account, Membership, now_ms
from geventchat.server.people.conversations import Conversations
from geventchat.server.people.hooks import HOOK, Hook, Hooks
from geventchat.server.people.login import LOGIN, Login
from geventchat.server.people.logins import Logins
from geventchat.server.people.marks import COUNTED, Marks
from geventchat.server.people.passwords import Passwords
from geventchat.server.people.private import PRIVATE, PrivateRoom
from geventchat.server.people.records import Kept, Records
from geventchat.server.timeline import Timeline

_ID_BYTES: Final = 12
SIGN_INS: Final = (
    "session", "password", "registered", "wrong", "limited", "busy", "banned", "refused",
)  # fmt: skip
"""What becomes of a hello with an account: the way it signed in, or why it did not."""
UNINVITED: Final = "You cannot join that room without an invitation."
"""What is said whether there is such a room or not."""


class People:
    """Accounts by id, and private rooms by name."""

    def __init__(self, timeline: Timeline) -> None:
        """Load everything. Blocks. Raises ValueError if a record cannot be read."""
        self._timeline = timeline
        self.records = Records(timeline.keep)
        timeline.nodes.settled = self.records.settled
        self.accounts: dict[str, Account] = {}
        self.private: dict[str, PrivateRoom] = {}
        """Private rooms and conversations; none is ever deleted, even if nobody is in it."""
        self.conversations = Conversations()
        self._members: Counter[str] = Counter()
        """How many accounts are in each room, or invited."""
        self._latest = 0
        """When an account joined a room last, in ms since 1970."""
        self._numbers = 0
        """Private rooms that were ever made."""
        self.logins = Logins(self.records)
        self._removed = 0
        self._ended: list[Membership] = []
        """Memberships whose reason is still kept, though whoever had to be told is not here."""
        self.passwords = Passwords()
        self.sign_ins = Counter(dict.fromkeys(SIGN_INS, 0))
        """How many hellos signed in, or did not, by outcome."""
        self.marks = Marks(timeline, self.records, self.accounts)
        try:
            self._load()
        except msgspec.DecodeError as error:
            raise ValueError(f"a record of an account cannot be read: {error}") from None

    def _load(self) -> None:
        for record in self._timeline.records(ACCOUNT):
            self.add(Account.load(*record))
        self.marks.load(self._timeline.records(COUNTED))
        for record in self._timeline.records(PRIVATE):
            self.put_private(PrivateRoom.load(*record))
        for number, value in self._timeline.records(MEMBERSHIP):
            owner, _, room = number.partition("/")
            if owner in self.accounts:
                membership = Membership.load(self.accounts[owner], room, value)
                if not membership.ended:
                    self.put(membership)
                else:
                    self._ended.append(membership)
        self.marks.loaded()
        for name, position, said in self._timeline.newest_posts(names.CONVERSATION):
            if (conversation := self.private.get(name)) is not None:
                conversation.newest = position
                conversation.active = said or conversation.created
        for private in self.private.values():
            if private.between:
                self.conversations.add(private)
                for membership in private.members.values():
                    # That something was said is on disk before that this opened it again.
                    membership.joined = membership.joined or private.newest > membership.since
        self.hooks = Hooks(Hook.load(*each) for each in self._timeline.records(HOOK))
        for hashed, value in self._timeline.records(LOGIN):
            login = Login.load(hashed, value, self.accounts)
            if login is not None:
                self.logins.add(login)

    def catch_up(self) -> None:
        """Count what is unread since it was last written, or in another epoch. Waits."""
        ended, self._ended = self._ended, []
        self._forget_reasons(ended)
        newest = {each.name: each.newest for each in self.private.values() if each.between}
        self.marks.catch_up(newest)

    def forget_positions(self) -> None:
        """Forget the positions of an epoch that has ended; `new_epoch` finds the new ones."""
        self.marks.forget_positions()
        for private in self.private.values():
            private.newest = 0

    @property
    def count(self) -> int:
        """The number of accounts, without those that were removed."""
        return len(self.accounts) - self._removed

    def save(self, *changed: Kept) -> None:
        """Wait until the present state of these is on disk. Raises Refused `storage`."""
        self.records.save(*changed)
        self._forget_reasons(each for each in changed if isinstance(each, Membership))

    def _forget_reasons(self, memberships: Iterable[Membership]) -> None:
        """Have the reasons why memberships ended deleted: whoever has to hears of them now."""
        for each in memberships:
            if each.reason and each.room not in each.account.memberships:
                each.reason = ""
                self.records.note(each)

    def create(self, nick: str, password: str = "") -> Account:
        """Make an account; the caller has taken its nick, and saves it."""
        return self.add(Account(_new_id(), nick, now_ms(), password))

    def add(self, account: Account) -> Account:
        """Add an account that is new here, or was removed."""
        self.accounts[account.id] = account
        self._removed += account.removed
        if not account.removed:
            self.marks.name(account)
        return account

    def find(self, number: str) -> Account | None:
        """Return the account with an id, unless it was removed."""
        account = self.accounts.get(number)
        return account if account is not None and not account.removed else None

    def discard(self, account: Account) -> None:
        """Forget an account that could not be stored; the caller gives its nick back.

        If somebody has begun a conversation with it, it is removed instead: its id is known.
        """
        if any(map(names.is_conversation, account.memberships)):
            self.records.note(*self.remove(account))
            return
        self.forget(account)
        self.records.note(account)

    def forget(self, account: Account) -> None:
        """Forget an account that never was; the caller gives its nick back."""
        del self.accounts[account.id]
        self.marks.forget(account)
        account.discarded = True
        self.end(account)

    def remove(self, account: Account, *, promote: bool = True) -> list[Kept]:
        """Remove an account; return what the caller saves.

        Its id is never used again, and its posts keep its last nick.
        """
        account.removed, account.password = True, ""
        self.marks.forget(account)
        self._removed += 1
        account.former.clear()
        return [account, *self.end(account, promote=promote)]

    def end(self, account: Account, *, rooms: bool = True, promote: bool = True) -> list[Kept]:
        """End the logins of an account, and its memberships; return what was changed."""
        ended: list[Kept] = []
        for login in self.logins.of(account):
            self.logins.end(login)
            ended.append(login)
        for membership in list(account.memberships.values()) if rooms else ():
            moderator = self.leave(membership, promote=promote)
            ended += [membership] if moderator is None else [membership, moderator]
        return ended

    # Rooms

    def join(self, account: Account, room: str, newest: int | None = None) -> Membership:
        """Put a room into the set of an account, unless it is there; the caller saves it.

        `newest` is the room's newest position, where its mark begins. Raises Refused `forbidden`
        for a private room without an invitation.
        """
        self.check_join(account, room)
        membership = account.memberships.get(room)
        if membership is None or not membership.joined:
            if membership is None:
                membership = self.put(Membership(account, room))
            membership.joined = True
            membership.began = self._later()
            membership.since = newest or 0
            private = self.private.get(room)
            if private is not None and not private.between and not private.is_moderated:
                membership.moderator = True  # all others have left
        if newest is None:  # nothing is known of it unless it is open, as the lobby is
            newest = self._timeline.position(room)
            newest = newest if newest or room == names.LOBBY else None
        if newest is not None:
            self.marks.begin(membership, newest)
        return membership

    def leave(self, membership: Membership, *, promote: bool = True) -> Membership | None:
        """Take a room out of the set of its account; the caller saves the membership.

        Returns the membership that became a moderator's, which the caller saves too: of who joined
        first, if no moderator is left and they are to `promote` one.
        """
        account, room = membership.account, membership.room
        if membership.ended:
            return None
        membership.ended = True
        del account.memberships[room]
        self.marks.remove(membership)
        self._members[room] -= 1
        if not self._members[room]:
            del self._members[room]
        private = self.private.get(room)
        if private is None:
            return None
        del private.members[account.id]
        if not membership.moderator or not promote:
            return None
        joined = private.joined
        if not joined or private.is_moderated:
            return None
        joined[0].moderator = True
        return joined[0]

    def has_members(self, room: str) -> bool:
        """Return whether any account is in a room, connected or not."""
        return room in self._members

    def hidden(self, account: Account | None, room: str) -> int:
        """Return the position up to which an account may not read a room; 0: it may read all."""
        private = self.private.get(room)
        if account is None or private is None or not private.from_join:
            return 0
        membership = account.memberships.get(room)
        return membership.since if membership is not None else 0

    # Private rooms

    def create_private(self, account: Account, name: str, *, from_join: bool) -> PrivateRoom:
        """Make a private room, with its moderator; the caller saves it and the membership."""
        private = self._make_private(PrivateRoom(name, now_ms(), 0, from_join))
        membership = Membership(account, name, began=self._later(), moderator=True)
        self.marks.begin(self.put(membership), 0)
        return private

    def undo(self, private: PrivateRoom) -> None:
        """Take back a private room that could not be made; the caller saves it if it was saved."""
        for membership in list(private.members.values()):
            membership.moderator = False
            self.leave(membership)
        private.ended = True
        del self.private[private.name]
        if private.between:
            self.conversations.remove(private)

    def invite(self, account: Account, private: PrivateRoom, by: str) -> Membership:
        """Invite an account that is not a member; the caller saves it."""
        return self.put(Membership(account, private.name, joined=False, invited_by=by))

    def converse(self, one: Account, other: Account) -> PrivateRoom:
        """Make the conversation of two accounts, open for neither; the caller saves all of it."""
        number = names.CONVERSATION + _new_id()
        between = [one.id, other.id]
        private = self._make_private(PrivateRoom(number, now_ms(), 0, between=between))
        private.active = private.created
        for account in (one, other):
            self.put(Membership(account, number, joined=False, epoch=self._timeline.epoch))
        self.conversations.add(private)
        return private

    def _make_private(self, private: PrivateRoom) -> PrivateRoom:
        private.stored = False
        private.number = self._numbers + 1
        return self.put_private(private)

    def put_private(self, private: PrivateRoom) -> PrivateRoom:
        """Add a private room or conversation, which has no members yet."""
        self.private[private.name] = private
        self._numbers = max(self._numbers, private.number)
        return private

    def check_join(self, account: Account | None, room: str) -> None:
        """Raise Refused `forbidden` if an account, or a guest, may not join a room."""
        if room not in self.private and not names.is_conversation(room):
            return
        if account is None or room not in account.memberships:
            raise Refused("forbidden", UNINVITED, room=room)

    def number(self, room: str) -> int:
        """Return the number of a private room or conversation; 0: it is neither."""
        private = self.private.get(room)
        return private.number if private is not None else 0

    def _later(self) -> int:
        """Return a time in ms since 1970, later than any time at which an account joined before."""
        self._latest = max(now_ms(), self._latest + 1)
        return self._latest

    def put(self, membership: Membership) -> Membership:
        """Add a membership or invitation that has begun."""
        account, room = membership.account, membership.room
        account.memberships[room] = membership
        self.marks.add(membership)
        self._members[room] += 1
        self._latest = max(self._latest, membership.began)
        if (private := self.private.get(room)) is not None:
            private.members[account.id] = membership
            for number in private.between:
                if number != account.id:
                    membership.other = self.accounts.get(number)
        return membership


def _new_id() -> str:
    return secrets.token_urlsafe(_ID_BYTES)
