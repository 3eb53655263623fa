"""Read marks: how far each account has read its rooms, and what it has not read of them.

Mentions, and the posts of an account itself, are counted when they are stored, in its membership.
That costs little: a text is searched for the nicks of all accounts at once. What was counted is
written every few seconds, with the position in each room up to which it was; what was stored after
that, but before a crash, is counted at the next start.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Self, TypeGuard

import gevent
from gevent.pool import Pool
from msgspec import Struct

from geventchat.protocol import names
from geventchat.protocol.errors import Refused
from geventchat.protocol.events import Post
from geventchat.protocol.mentions import Names
from geventchat.server.people.account import Account, Mark, Membership
from geventchat.server.people.records import Kept, Records, decoded, encoded
from geventchat.server.timeline import Timeline

COUNTED: Final = "counted"
"""The kind of the record of a room."""
_WRITE_SECONDS: Final = 5.0
_AT_ONCE: Final = 200
"""Records that are written together where other nodes follow: for some 15 us each."""
_TIMES_LEFT: Final = 2
"""How often what was counted is left to the node that writes it for all."""
_WRITES_LATE: Final = _TIMES_LEFT + 2
"""For how many writes a node does not say up to where posts are counted, if others count them too.

It may not know of a mark, or a nick, that was new when they were. Who does writes it until then.
"""

_RETRY_SECONDS: Final = 0.5, 2.0
"""How long to wait before posts that could not be read at a start are read again."""
_ROOMS_AT_ONCE: Final = 16
"""Rooms whose posts are read at once: to open one on an engine takes two round trips."""

_log = logging.getLogger(__name__)


class CountedRecord(Struct):
    """What is written of a room: up to where its posts are counted."""

    position: int


class _Counted:
    """A room that accounts are in."""

    __slots__ = ("former", "name", "people", "position")

    def __init__(self, name: str, position: int = 0) -> None:
        self.name = name
        self.position = position
        """Up to which its posts are counted."""
        self.former = [position] * _WRITES_LATE
        """The position at each of the last writes."""
        self.people = 0
        """Memberships of accounts."""

    def passed(self) -> Self:
        """Note a write; return it as it was some writes ago, which all nodes have written since."""
        copy = type(self)(self.name, min(self.former[0], self.position))
        copy.people = self.people
        self.former = [*self.former[1:], self.position]
        return copy

    def copy(self) -> Self:
        """Return it as it is now."""
        copy = type(self)(self.name, self.position)
        copy.people = self.people
        return copy

    @property
    def record(self) -> tuple[str, str]:
        return COUNTED, self.name

    def value(self) -> object:
        return CountedRecord(self.position) if self.people else None

    @classmethod
    def load(cls, name: str, value: bytes) -> Self:
        """Return the room of a record."""
        return cls(name, decoded(CountedRecord, value).position)


class Marks:
    """The marks of all accounts. Nothing here waits but `catch_up`."""

    def __init__(
        self, timeline: Timeline, records: Records, accounts: Mapping[str, Account]
    ) -> None:
        """`accounts`: by id, removed ones too."""
        self._timeline = timeline
        self._records = records
        self._accounts = accounts
        self._nicks: Names[Account] = Names()
        self._rooms: dict[str, _Counted] = {}
        """By name; only those that accounts are in."""
        self._changed: dict[Kept, int] = {}
        """What was counted and is not written: how often another node was left to write it."""
        self._behind: set[str] = set()
        """Rooms whose posts `catch_up` still has to count, the new ones too.

        The feed brings posts of other nodes before it begins: one that was counted out of turn
        would hide those before it.
        """
        self._due = 0.0
        self._writing = False
        """Whether what was counted is being written in steps."""

    def load(self, rooms: Iterable[tuple[str, bytes]]) -> None:
        """Take over the records of rooms; the memberships follow."""
        self._rooms = {name: _Counted.load(name, value) for name, value in rooms}

    def loaded(self) -> None:
        """Note that all memberships are known: what is there is counted by `catch_up` only."""
        self._behind = set(self._rooms)

    # Who is where, under which nick

    def name(self, account: Account, former: str | None = None) -> None:
        """Look for the nick of an account from now on, and no longer for its former one."""
        if former is not None:
            self._nicks.remove(former, account)
        self._nicks.put(account.nick, account)

    def forget(self, account: Account) -> None:
        """Look for the nick of an account no longer."""
        self._nicks.remove(account.nick, account)

    def add(self, membership: Membership) -> None:
        """Count the posts of a room for a member, once its mark has begun.

        That of a conversation begins before the first post.
        """
        room = self._rooms.setdefault(membership.room, _Counted(membership.room))
        room.people += 1
        if not membership.epoch and names.is_conversation(membership.room):
            membership.begin(self._timeline.epoch, 0)

    def remove(self, membership: Membership) -> None:
        """Count for a member no longer."""
        self._changed.pop(membership, None)
        room = self._rooms.get(membership.room)
        if room is not None:
            room.people -= 1
            if not room.people:
                del self._rooms[room.name]
                self._changed[room] = 0

    # Marks

    def begin(self, membership: Membership, position: int) -> bool:
        """Begin the mark of a member at a position, unless it has begun in this epoch.

        Returns whether it began.
        """
        if membership.epoch == self._timeline.epoch:
            return False
        membership.begin(self._timeline.epoch, position)
        self._changed[membership] = 0
        return True

    def of(self, account: Account, room: str, oldest: int, newest: int) -> Mark | None:
        """Return the mark of an account in a room, over these positions; None: it is not in it.

        If it is new it begins at the newest.
        """
        membership = account.memberships.get(room)
        if membership is None or not membership.joined:
            return None
        self.begin(membership, newest)
        return membership.mark(oldest, newest)

    def count(self, post: Post) -> None:
        """Count a post that was stored. Cheap: called for every post."""
        room = self._rooms.get(post.room)
        if room is None or post.position <= room.position or post.room in self._behind:
            return
        room.position = post.position
        self._changed[room] = 0
        self._count(post)

    def _count(self, post: Post) -> None:
        # How often what is older was left to another node holds: posts may never cease.
        author = None
        if post.account is not None and (author := self._accounts.get(post.account)) is not None:
            membership = author.memberships.get(post.room)
            if self._counts(membership) and membership.say(post.position):
                self._changed.setdefault(membership, 0)
        for account in self._nicks.mentioned(post.text):
            membership = account.memberships.get(post.room)
            if account is author or not self._counts(membership):
                continue
            if membership.mention(post.position):
                self._changed.setdefault(membership, 0)

    def _counts(self, membership: Membership | None) -> TypeGuard[Membership]:
        return membership is not None and membership.epoch == self._timeline.epoch

    # Other nodes, which count the same posts

    def hear_same(self, membership: Membership, value: bytes) -> bool:
        """Return whether another node has written a member as it is here; then it is on disk."""
        if encoded(membership.value()) != value:
            return False
        self._changed.pop(membership, None)
        self._records.hear(membership, value)
        return True

    def merge(self, membership: Membership, theirs: Membership, value: bytes) -> None:
        """Follow the mark of a member, whose record another node has written."""
        epoch = self._timeline.epoch
        if theirs.epoch == membership.epoch:
            known = membership.merge(theirs)
        elif membership.epoch == epoch or not theirs.epoch:  # it has not begun there
            known = False
        else:
            membership.epoch, membership.read = theirs.epoch, theirs.read
            membership.mentions, membership.own = theirs.mentions, theirs.own
            known = True
        if encoded(membership.value()) == value:
            self._changed.pop(membership, None)
        elif not known:  # whoever leads may have said that it has counted what it does not have
            self._changed[membership] = _TIMES_LEFT
        else:
            self._changed[membership] = 0

    def hear(self, name: str, value: bytes | None) -> None:
        """Follow up to where the posts of a room are counted, as another node has written it."""
        room = self._rooms.get(name)
        if room is None or value is None:
            return
        if _Counted.load(name, value).position == room.position:
            room.former = [room.position] * _WRITES_LATE
            self._changed.pop(room, None)

    # On disk

    def tick(self, now: float) -> None:
        """Have what was counted written, every few seconds; `now` is the monotonic time.

        One node of several writes it. What that one does not know of is written by the others.
        """
        if self._changed and now >= self._due:
            self._due = now + _WRITE_SECONDS
            self.write(all_of_it=self._timeline.nodes.leads)

    def write(self, *, all_of_it: bool = True) -> None:
        """Have what was counted written soon, or only what another node was left to write.

        Memberships are written as they are by then, so rooms are as they are now, or were before:
        what was counted up to the position of a room must never be written after it. What is
        written before it is counted once, by its position.
        """
        if self._writing:
            return
        alone = self._timeline.nodes.alone
        changed, self._changed = self._changed, {}
        memberships: list[Kept] = []
        rooms: list[_Counted] = []
        for each, times in changed.items():
            if isinstance(each, _Counted):
                room = each.copy() if alone else each.passed()
                if all_of_it or not each.people:
                    rooms.append(room)
                if each.people and (not all_of_it or room.position != each.position):
                    self._changed[each] = 0
            elif all_of_it or times >= _TIMES_LEFT:
                memberships.append(each)
            else:
                self._changed[each] = times + 1
        written = [*memberships, *rooms]
        if not written:
            return
        if alone or len(written) <= _AT_ONCE:
            self._records.note(*written)
        else:
            self._writing = True
            gevent.spawn(self._write_in_steps, written).name = "marks"

    def _write_in_steps(self, written: Sequence[Kept]) -> None:
        """Write what was counted in steps, since other nodes follow each of them at once."""
        try:
            for first in range(0, len(written), _AT_ONCE):
                self._records.note(*written[first : first + _AT_ONCE]).get()
        finally:
            self._writing = False

    def counted(self) -> Iterable[Kept]:
        """Return the rooms that are counted."""
        return list(self._rooms.values())

    def forget_positions(self) -> None:
        """Count all posts of another epoch, whose positions begin anew."""
        for room in self._rooms.values():
            room.position, room.former = 0, [0] * _WRITES_LATE
            self._changed[room] = 0
        self._behind = set(self._rooms)

    def catch_up(self, newest: Mapping[str, int]) -> None:
        """Count what was stored after it was last written. Waits.

        `newest` are positions that are known: to open a room takes some 0.2 ms. Marks of another
        epoch begin anew. Called before the first client connects, and when an epoch begins.
        """
        members: dict[str, list[Membership]] = {}
        for account in self._accounts.values():
            for membership in account.memberships.values():
                members.setdefault(membership.room, []).append(membership)
        late = {
            name: memberships
            for name, memberships in members.items()
            if newest.get(name) != self._rooms[name].position
            or not all(map(self._counts, memberships))
        }
        self._behind = behind = set(late)
        try:
            for seconds in _RETRY_SECONDS if not self._timeline.nodes.alone else ():
                self._count_late(late, behind)
                if not behind:
                    break
                gevent.sleep(seconds)  # an engine may be away
            self._count_late(late, behind)
            for _ in behind:
                _log.warning("unread posts of a room could not be counted: database error")
        finally:
            behind.clear()  # unless another epoch has begun, and its own are behind
        self.write(all_of_it=self._timeline.nodes.leads)

    def _count_late(self, late: Mapping[str, list[Membership]], behind: set[str]) -> None:
        """Count what was stored in the rooms that are behind, where it can be read. Waits."""

        def count(name: str) -> None:
            if self._caught_up(name, late[name]):
                behind.discard(name)

        pool = Pool(_ROOMS_AT_ONCE)
        try:
            pool.map(count, [name for name in late if name in behind])
        finally:
            pool.kill()

    def _caught_up(self, name: str, memberships: list[Membership]) -> bool:
        """Count what was stored in a room; return whether it could be read. Waits."""
        room = self._rooms.get(name)
        try:
            if room is not None:  # else all have left meanwhile
                self._catch_up(room, memberships)
        except Refused:
            return False
        return True

    def _catch_up(self, room: _Counted, memberships: list[Membership]) -> None:
        timeline = self._timeline
        with timeline.opened(room.name):
            newest = timeline.position(room.name)
            begun = [each for each in memberships if each.epoch == timeline.epoch]
            for membership in memberships:
                if membership.epoch:
                    self.begin(membership, newest)
            if room.position == newest:
                return
            position = room.position if room.position < newest else 0
            position = max(position, min((each.read for each in begun), default=newest))
            while position < (newest := timeline.position(room.name)):
                posts = timeline.since(room.name, position, newest)
                if not posts:
                    break
                for post in posts:
                    self._count(post)
                position = posts[-1].position
            room.position = newest
            self._changed[room] = 0
