"""A room: its members, and the turns in which they receive what is new.

Everything that members receive goes out in turns, so all receive it in one order: posts, topics,
presence. A turn encodes what is pending once per wire form and then walks the live members; others
may begin meanwhile, and members join and leave. `position` is what has been delivered to everyone:
it moves when a turn ends.

Nothing here waits but `after_turn`.
"""

import logging
import math
from typing import Final, TypeAlias

from gevent.event import Event
from msgspec.structs import replace

from geventchat.protocol import events
from geventchat.protocol.events import Post, Topic
from geventchat.server.chat.turn import Pending, Recipient, Turn
from geventchat.server.chat.walk import Walk
from geventchat.server.participant import Participant
from geventchat.server.people.account import Account
from geventchat.server.timeline import Entry, size_of

TURN_BYTES: Final = 256 << 10
"""What one turn takes, but for a single longer post."""
_EVENT_BYTES: Final = 256
"""An upper estimate for an event that is not an entry."""
_RATE_SECONDS: Final = 5.0
"""How far back the rate of posts looks; what is older fades."""

_Person: TypeAlias = Participant | Account | str
"""A string is the id of somebody who may be on any node."""
_Event: TypeAlias = tuple[events.Event, Participant | None]

_log = logging.getLogger(__name__)


class Member(Recipient):
    """One participant's membership of one room. Leaving ends it; rejoining makes another."""

    __slots__ = ("announced", "room")

    def __init__(self, participant: Participant, room: "Room") -> None:
        super().__init__(participant)
        self.room = room
        self.announced = False
        """Whether the other members know of it."""


class Room:
    """A room that has members."""

    __slots__ = (
        "_events", "_rate", "_rated", "_released", "_renames", "_turned", "_typing", "away",
        "busy", "change", "count", "crowded", "live", "members", "name", "newest",
        "newest_change", "opener", "pending", "position", "private", "rich_members", "topic",
        "topic_by", "unused", "walk",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        position: int,
        topic: str,
        opener: str | None = None,
        private: int = 0,
        change: int = 0,
    ) -> None:
        self.name = name
        self.private = private
        """The number that stands for its name if only some accounts may be in it; 0: all may."""
        self.opener = opener
        """The address that opened it, if that is counted."""
        self.topic = topic
        self.topic_by = ""
        """Who set it, if that was while the room was open."""
        self.unused = not position and not topic
        """Whether nothing was ever submitted to it, so that it is not stored anywhere."""
        self.position = position
        """The newest post that was delivered to all who were live."""
        self.newest = position
        """The newest post that was given to this room, delivered or not."""
        self.change = change
        """The newest change of a post that was delivered to all who were live."""
        self.newest_change = change
        """The newest that was given to this room, delivered or not."""
        self.members: dict[Participant, Member] = {}
        self.live: dict[Participant, Member] = {}
        """The members that turns reach; the others are catching up."""
        self.rich_members = 0
        self.away: set[str] = set()
        """Nicks held for clients that lost their connection; their leave is not announced yet."""
        self.count = 0
        """The number of announced members, including held nicks."""
        self.crowded = False
        self.pending: list[tuple[Entry, Pending | None]] = []
        self._events: list[_Event | None] = []
        """Pending events that are not entries, each with who does not receive it; in order.

        None: superseded by a later one.
        """
        self._renames: dict[_Person, tuple[int, str]] = {}
        """The index of a person's rename in `_events`, and the nick it started from."""
        self._released: dict[str, _Person | None] = {}
        """Nicks released in `_events`, and the person if only its renames did."""
        self._typing: set[Participant] = set()
        self.walk = Walk(self.shown)
        self.busy = False
        """Whether delivery has it in hand."""
        self._turned: Event | None = None
        self._rate = 0.0
        self._rated = 0.0
        """When the rate was that, by the clock of turns."""

    @property
    def shown(self) -> str:
        """What stands for it in logs and figures, where a private name does not belong."""
        return f"private room {self.private}" if self.private else self.name

    def add(self, member: Member) -> None:
        """Add a member that is not live yet."""
        self.members[member.participant] = member
        self.rich_members += member.form.rich

    def remove(self, member: Member) -> None:
        """Remove a member: nothing from this room follows, not even of a turn on its way."""
        member.active = False
        del self.members[member.participant]
        self.live.pop(member.participant, None)
        self.rich_members -= member.form.rich
        self.walk.remove()
        if not self.members and self._turned is not None:
            self._wake(self._turned)  # former members may wait for a turn that never comes

    def go_live(self, member: Member) -> None:
        """Make a member live that has received exactly everything up to `position`."""
        self.live[member.participant] = member
        self.walk.add(member)

    def post(self, entry: Entry, pending: Pending | None) -> bool:
        """Add an entry to the next turn; return whether it is new to the room.

        A post or change is not if the room was opened after it was stored: `position` or `change`
        then covers it.
        """
        if isinstance(entry, Post):
            if entry.position <= self.newest:
                return False
            self.newest = entry.position
        elif isinstance(entry, Topic):
            self.topic, self.topic_by = entry.topic, entry.by
        elif entry.change <= self.newest_change:
            return False
        else:
            self.newest_change = entry.change
        self.pending.append((entry, pending))
        return True

    @property
    def _heard(self) -> bool:
        """Whether any rich member hears of an event, or may hear of those before it."""
        return bool(self.rich_members or self._events or self.walk.turns)

    def tell(self, event: events.Event, exclude: Participant | None = None) -> bool:
        """Add an event for rich members to the next turn; return whether there are any."""
        if not self._heard:
            return False
        if isinstance(event, events.Typing) and exclude is not None:
            if exclude in self._typing:
                return True
            self._typing.add(exclude)
        if isinstance(event, events.Presence) and event.event == "leave":
            self._released[event.nick or ""] = None
        self._events.append((event, exclude))
        return True

    def tell_rename(self, participant: Participant, former: str) -> bool:
        """Announce a rename to rich members in the next turn; return whether there are any.

        Several renames of one person in a turn become one, in place of the first. Not if another
        member released the new nick in between: then they have to be announced in order.
        """
        event = events.Presence(
            room=self.name,
            nick=former,
            event="rename",
            new_nick=participant.nick,
            account=participant.account.id if participant.account is not None else None,
        )
        return self.tell_renamed(participant.account or participant, event, participant)

    def tell_renamed(
        self, person: _Person, event: events.Presence, exclude: Participant | None = None
    ) -> bool:
        """Announce the rename of somebody, who may be on another node, as `tell_rename` does."""
        if not self._heard:
            return False
        nick, former = event.new_nick or "", event.nick or ""
        place, first = self._renames.get(person, (None, former))
        if place is not None and self._released.get(nick, person) == person:
            former, event = first, replace(event, nick=first)
        else:
            place = len(self._events)
            self._renames[person] = place, former
            self._events.append(None)
        releaser = self._released.get(former, person)
        self._released[former] = person if releaser == person else None
        self._events[place] = (event, exclude) if nick != former else None
        return True

    @property
    def waiting(self) -> bool:
        """Whether anything is pending for the next turn."""
        return bool(self.pending or self._events)

    def begin_turn(self) -> Turn | None:
        """Begin the next turn, if anything is pending and the turns on their way leave space."""
        if not (self.pending or self._events):
            return None
        under_way, space, position = self.walk.turns, TURN_BYTES, self.sent
        if under_way:
            space -= sum(turn.size for turn in under_way)
            if space < TURN_BYTES // 2 or not self.walk.open:
                return None
        taken_events = self._take_events(space) if self._events else []
        size = len(taken_events) * _EVENT_BYTES
        taken = posts = 0
        for entry, _ in self.pending:
            more = size_of(entry) if isinstance(entry, Post) else _size(entry)
            if size + more > space and (taken or taken_events or under_way):
                break
            size += more
            taken += 1
            if isinstance(entry, Post):
                posts += 1
                position = entry.position
        if not (taken or taken_events):
            return None
        turn = Turn(taken_events, self.pending[:taken], posts, position, size)
        if turn.posts < len(turn.entries):
            for author, answer in turn.answers():
                if author in self.live:
                    continue
                if author in self.members:  # turns do not reach it yet
                    author.answer(answer)
                else:
                    author.answer(gone(answer))
        self.walk.begin(turn, self.live.values())
        self.pending = self.pending[taken:]  # not earlier: what meets a bug is given up as a whole
        return turn

    def reach(self, count: int) -> list[Turn]:
        """Have so many members at most receive the turns; return those that have ended."""
        ended = self.walk.step(count)
        for turn in ended:
            self._end(turn)
        return ended

    def _end(self, turn: Turn) -> None:
        """Finish a turn that has reached every live member."""
        if turn.change:
            self.change = max(self.change, turn.change)
        if turn.posts:
            self.position = turn.position
            self._rate = self.rate(turn.began) + turn.posts / _RATE_SECONDS
            self._rated = turn.began
        for entry, pending in turn.entries:
            if pending is not None:
                pending.settle(entry, is_member=pending.author in self.members)
        if self._turned is not None:
            self._wake(self._turned)

    def rate(self, now: float) -> float:
        """Return the recent posts per second at a time of `perf_counter`."""
        return self._rate and self._rate * math.exp((self._rated - now) / _RATE_SECONDS)

    def give_up(self) -> None:
        """Drop what is pending, and the turns on their way, because of a bug."""
        for turn in self.walk.stop():
            self._end(turn)
        dropped, self.pending = self.pending, []
        self._take_events()
        self.position, self.change = self.newest, self.newest_change
        for _, pending in dropped:
            if pending is not None:
                pending.author.acknowledged()
        if self._turned is not None:
            self._wake(self._turned)

    @property
    def sent(self) -> int:
        """The newest post that some member may have: `position`, or that of a turn on its way."""
        turns = self.walk.turns
        return turns[-1].position if turns else self.position

    def after_turn(self, seconds: float) -> bool:
        """Wait until a turn has ended, or nobody is a member any more, for some seconds.

        Returns whether that has happened.
        """
        if self._turned is None:
            self._turned = Event()
        return self._turned.wait(seconds)

    def _wake(self, turned: Event) -> None:
        turned.set()
        self._turned = None

    def _take_events(self, space: int | None = None) -> list[_Event]:
        """Return the events of the next turn, which others may follow, or all."""
        most = len(self._events) if space is None else max(space // _EVENT_BYTES, 1)
        taken = [each for each in self._events[:most] if each is not None]
        self._events = self._events[most:]
        self._renames.clear()
        self._released.clear()
        self._typing.clear()
        return taken


def gone(answer: Topic | events.Edited | events.Redacted) -> events.Error:
    """Return what the author of a request hears instead of the answer, as it has left the room."""
    text = f"You are not in {answer.room}. Join it first."
    return events.Error(code="not_joined", text=text, room=answer.room, id=answer.id)


def _size(entry: Topic | events.Edited | events.Redacted) -> int:
    if isinstance(entry, Topic):
        return _EVENT_BYTES + 6 * len(entry.topic)  # JSON may spell a character in six
    return size_of(entry)
