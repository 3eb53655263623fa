"""People as other nodes have changed them: what was written there is followed on this node.

It is on disk, and holds. A change is made in memory as it was made there, and what the request did
to the connections of that node is done to the connections of this one. Nothing here waits but
`reread`, and nothing is written that was only followed.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import msgspec

from geventchat.protocol import events, names
from geventchat.protocol.errors import ACCOUNT, PASSWORD_CHANGED, REMOVED, REVOKED
from geventchat.server.chat import account_rooms
from geventchat.server.chat.account_rooms import ELSEWHERE, AccountRooms
from geventchat.server.chat.clients import Clients
from geventchat.server.participant import Participant
from geventchat.server.people.account import ACCOUNT as ACCOUNT_RECORD
from geventchat.server.people.account import MEMBERSHIP, Account, Membership
from geventchat.server.people.hooks import HOOK, Hook
from geventchat.server.people.login import LOGIN, Login
from geventchat.server.people.marks import COUNTED
from geventchat.server.people.new_epoch import KINDS, kept
from geventchat.server.people.private import PRIVATE, PrivateRoom
from geventchat.server.people.records import encoded
from geventchat.server.timeline import RecordChange

_ORDER: Final = {kind: place for place, kind in enumerate(KINDS)}
"""What others refer to comes first, and nobody is a member of a room that is not known yet."""
_Table: TypeAlias = dict[str, Callable[[str, bytes | None], None]]
"""By kind of record, what is done with the id and the value."""

_log = logging.getLogger(__name__)


class Followed:
    """What other nodes do to people."""

    def __init__(
        self,
        hub: Clients,
        rooms: AccountRooms,
    ) -> None:
        """`hub`: whose clients, and `rooms`: whose memberships, follow."""
        self._hub = hub
        self._rooms = rooms
        self.refresh_mute: Callable[[Participant], None] = lambda _: None
        """Called with each connection whose nick has changed."""
        self._moderated: dict[PrivateRoom, None] = {}
        """Private rooms whose moderators have changed."""
        self._passwords: set[Account] = set()
        """Accounts whose password has changed."""
        self._follow: _Table = {
            ACCOUNT_RECORD: self._follow_account,
            LOGIN: self._follow_login,
            PRIVATE: self._follow_private,
            MEMBERSHIP: self._follow_membership,
            HOOK: self._follow_hook,
            COUNTED: self._follow_counted,
        }
        self._merge: _Table = {
            LOGIN: self._merge_login,
            MEMBERSHIP: self._merge_membership,
            COUNTED: self._follow_counted,
        }
        """What changes without a decision."""

    def hear(self, changes: Sequence[RecordChange]) -> None:
        """Follow what was written together on another node."""
        # A node that decides knows all that was decided.
        self._apply(changes, self._merge if self._hub.timeline.nodes.decides else self._follow)

    def _apply(self, changes: Sequence[RecordChange], follow: _Table) -> None:
        followed = [each for each in changes if each[0] in follow]
        for kind, number, value in sorted(followed, key=lambda each: _ORDER[each[0]]):
            try:
                follow[kind](number, value)
            except msgspec.DecodeError as error:  # of another version
                _log.error("a record of kind %s cannot be read: %s", kind, error)
            except Exception:  # a bug with one keeps nothing from the others
                _log.exception("a record of kind %s was not followed", kind)
        moderated, self._moderated = self._moderated, {}
        self._passwords.clear()
        for private in moderated:
            if not private.ended:
                self._rooms.tell_moderators(private)
        self._hub.delivery.work()

    def _merge_login(self, hashed: str, value: bytes | None) -> None:
        people = self._hub.people
        login = people.logins.find(hashed)
        if login is not None and value is not None:
            theirs = Login.load(hashed, value, people.accounts)
            login.used = max(login.used, theirs.used if theirs is not None else 0)
            people.records.hear(login, value)

    def _merge_membership(self, number: str, value: bytes | None) -> None:
        people = self._hub.people
        owner, _, room = number.partition("/")
        account = people.find(owner)
        membership = account.memberships.get(room) if account is not None else None
        if membership is None or value is None:  # one of both has ended it, and knows
            return
        if people.marks.hear_same(membership, value):
            return
        theirs = Membership.load(membership.account, room, value)
        if not theirs.ended:
            self._merge_marks(membership, theirs, value)
            people.records.hear(membership, value)

    def _merge_marks(self, membership: Membership, theirs: Membership, value: bytes) -> None:
        read, epoch = membership.read, membership.epoch
        self._hub.people.marks.merge(membership, theirs, value)
        if membership.epoch == epoch and membership.read > read:
            self._rooms.tell_read(membership)

    def reread(self) -> None:
        """Bring everything to the state of the store. Waits. Raises Refused `storage`."""
        people, timeline = self._hub.people, self._hub.timeline
        with timeline.nodes.deciding():
            stored = {kind: dict(timeline.records(kind)) for kind in KINDS}
            changes: list[RecordChange] = []
            for kind in KINDS:
                here = {each.record[1]: encoded(each.value()) for each in kept(people, kind)}
                changes += [(kind, each, None) for each in here if each not in stored[kind]]
                changes += [
                    (kind, each, value)
                    for each, value in stored[kind].items()
                    if here.get(each) != value
                ]
            self._apply(changes, self._follow)

    # Accounts

    def _follow_account(self, number: str, value: bytes | None) -> None:
        people, owners = self._hub.people, self._hub.owners
        account = people.accounts.get(number)
        if value is None:  # it could not be stored for certain
            if account is not None:
                self._end(account)
                self._hub.expel(account)
                people.forget(account)
                people.records.hear(account, None)
            return
        theirs = Account.load(number, value)
        if account is None:
            account = people.add(theirs)
            if not account.removed:
                owners.reserve(account)
        elif theirs.removed and not account.removed:
            self._remove(account)
        elif not account.removed:
            self._change(account, theirs)
        people.records.hear(account, value)

    def _end(self, account: Account) -> None:
        for each in self._hub.devices.connected(account):
            each.end(REMOVED if account.removed else ACCOUNT)

    def _remove(self, account: Account) -> None:
        for each in self._hub.devices.connected(account):
            each.end(REMOVED)
        self._hub.expel(account)
        for membership in account.memberships.values():
            if membership.moderator and membership.room in self._hub.people.private:
                self._moderated[self._hub.people.private[membership.room]] = None
        self._hub.people.remove(account, promote=False)

    def _change(self, account: Account, theirs: Account) -> None:
        owners, former = self._hub.owners, account.nick
        if theirs.password != account.password:
            account.password = theirs.password
            self._passwords.add(account)
        account.blocked = theirs.blocked
        reserved = {names.fold(nick) for nick in (*theirs.former, theirs.nick)}
        for nick in (*account.former, former):
            if names.fold(nick) not in reserved:
                owners.release(account, nick)
        account.former, account.nick = theirs.former, theirs.nick
        account.forget_former()  # those that are over may be somebody else's by now
        for nick in account.former:
            if owners.nicks.owner(nick) is None:
                owners.nicks.give(nick, account)
        owners.nicks.give(account.nick, account)  # last: of two that look alike it is the one kept
        if account.nick == former:
            return
        self._hub.people.marks.name(account, former)
        self._hub.follow_rename(account, former)
        for each in self._hub.devices.connected(account):
            self.refresh_mute(each)
            each.answer(events.Renamed(nick=account.nick))

    def _follow_login(self, hashed: str, value: bytes | None) -> None:
        people = self._hub.people
        login = people.logins.find(hashed)
        if value is None:
            if login is not None:
                people.logins.end(login)
                reason = PASSWORD_CHANGED if login.account in self._passwords else REVOKED
                for each in self._hub.devices.connected(login.account):
                    if each.login is login:
                        each.end(reason)
                people.records.hear(login, None)
            return
        theirs = Login.load(hashed, value, people.accounts)
        if theirs is None:  # of an account that was removed
            return
        if login is None:
            people.logins.add(theirs)
            return
        login.used = max(login.used, theirs.used)
        people.records.hear(login, value)

    # Rooms

    def _follow_private(self, name: str, value: bytes | None) -> None:
        people = self._hub.people
        private = people.private.get(name)
        if value is None:  # it could not be made for certain
            if private is not None:
                for membership in list(private.members.values()):
                    self._depart(membership, account_rooms.REMOVED)
                people.undo(private)
                people.records.hear(private, None)
            return
        if private is None:
            private = PrivateRoom.load(name, value)
            self._clear(name)
            people.put_private(private)
            self._hub.directory.place(name, 0)
            if private.between:
                people.conversations.add(private)
        private.stored = True
        people.records.hear(private, value)

    def _clear(self, name: str) -> None:
        """Have all leave a room that becomes private: they joined before this node knew."""
        room = self._hub.rooms.get(name)
        for member in list(room.members.values()) if room is not None else ():
            self._hub.leave(member)
            left = events.Left(room=name, reason=account_rooms.REMOVED)
            member.participant.answer(left)

    def _follow_membership(self, number: str, value: bytes | None) -> None:
        people = self._hub.people
        owner, _, room = number.partition("/")
        account = people.find(owner)
        if account is None:
            return
        membership = account.memberships.get(room)
        if membership and value and people.marks.hear_same(membership, value):
            return
        theirs = Membership.load(account, room, value) if value is not None else None
        if theirs is None or theirs.ended:
            if membership is not None:
                membership.reason = theirs.reason if theirs is not None else ""
                self._depart(membership, membership.reason or ELSEWHERE)
                people.records.hear(membership, value)
            return
        assert value is not None
        if membership is None:
            membership = people.put(theirs)
            if membership.joined:
                self._rooms.follow(account, room)
            elif membership.is_invitation:
                self._rooms.tell_invited(membership)
        else:
            self._change_membership(membership, theirs, value)
        people.records.hear(membership, value)

    def _depart(self, membership: Membership, reason: str) -> None:
        private = self._hub.people.private.get(membership.room)
        if private is not None and membership.moderator:
            self._moderated[private] = None
        self._hub.people.leave(membership, promote=False)
        self._rooms.tell_left(membership, reason)

    def _change_membership(self, membership: Membership, theirs: Membership, value: bytes) -> None:
        people, account, room = self._hub.people, membership.account, membership.room
        private = people.private.get(room)
        joined = membership.joined
        muted, moderator = membership.muted, membership.moderator
        membership.began, membership.since = theirs.began, theirs.since
        membership.invited_by, membership.moderator = theirs.invited_by, theirs.moderator
        membership.muted, membership.muted_by = theirs.muted, theirs.muted_by
        membership.joined = theirs.joined
        if private is not None and private.between:  # what was said after that opened it again
            membership.joined = theirs.joined or private.newest > theirs.since
        self._merge_marks(membership, theirs, value)
        if membership.joined and not joined:
            self._rooms.follow(account, room)
        elif joined and not membership.joined:
            self._rooms.leave_everywhere(account, room, ELSEWHERE)
        if private is not None and membership.moderator != moderator:
            self._moderated[private] = None
        if membership.muted != muted:
            self._rooms.tell_muted(membership, account_rooms.muted(membership))

    # Others

    def _follow_hook(self, number: str, value: bytes | None) -> None:
        people = self._hub.people
        hook = people.hooks.get(number)
        if value is None:
            if hook is not None:
                people.hooks.revoke(hook)
                people.records.hear(hook, None)
        elif hook is None:
            people.hooks.put(Hook.load(number, value))

    def _follow_counted(self, name: str, value: bytes | None) -> None:
        self._hub.people.marks.hear(name, value)
