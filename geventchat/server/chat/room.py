"""A room: who hears it, and the turns in which its members hear what is new.

All that a room's members hear goes out in turns, so all hear it in one order: posts, topics,
presence. A turn encodes what is pending once per wire form and then walks the members who are live;
it may be cut into slices, and between slices members join and leave. `position` is what has been
delivered to everyone: it moves when a turn ends.

Nothing here waits but `after_turn`.
"""

import logging
import math
import time
from collections.abc import Iterable
from typing import Final, NamedTuple

from gevent.event import Event
from msgspec.structs import replace

from geventchat.protocol import events
from geventchat.protocol.errors import INTERNAL
from geventchat.protocol.events import Post, Topic
from geventchat.server.participant import Participant
from geventchat.server.timeline import Entry, size_of
from geventchat.server.transport.outbox import Outbox
from geventchat.server.wire import Form

TURN_BYTES: Final = 256 << 10
"""What one turn takes, but for a single longer post."""
_TOLD_BYTES: Final = 256
"""What an event that is no entry takes at most, or nearly."""
_JOINED_BYTES: Final = 16 << 10
"""Up to here a turn with parts left out is copied; a larger one leaves in pieces of the shared."""
_RATE_SECONDS: Final = 5.0
"""How far back the rate of posts looks; what is older fades."""

_log = logging.getLogger(__name__)


class Pending(NamedTuple):
    """Who waits for the verdict on a submission."""

    author: Participant
    request_id: str | None
    came: float
    """When it was submitted, by the clock of turns."""


class Member:
    """One participant's membership of one room. Leaving ends it; rejoining makes another."""

    __slots__ = ("active", "announced", "form", "outbox", "participant", "room")

    def __init__(self, participant: Participant, room: "Room") -> None:
        self.participant = participant
        self.outbox: Outbox = participant.outbox
        self.form: Form = participant.form
        self.room = room
        self.active = True
        self.announced = False
        """Whether the others have heard of it."""


class Item(NamedTuple):
    """One thing that the members hear."""

    event: events.Event
    exclude: Participant | None = None
    """Who does not hear it."""
    asked: tuple[Pending, ...] = ()
    """Who hears it as the answer to a request of theirs."""


class Room:
    """A room that has members."""

    __slots__ = (
        "_events", "_rate", "_rated", "_released", "_renames", "_turned", "_typing", "away",
        "busy", "count", "crowded", "live", "members", "name", "newest", "opener", "pending",
        "position", "rich_members", "topic", "topic_by", "turn", "unused",
    )  # fmt: skip

    def __init__(self, name: str, position: int, topic: str, opener: str | None = None) -> None:
        self.name = name
        self.opener = opener
        """Where it was opened from, if that is counted."""
        self.topic = topic
        self.topic_by = ""
        """Who set it, if that was while the room was open."""
        self.unused = not position and not topic
        """Whether nothing was ever submitted to it, so that it is not stored anywhere."""
        self.position = position
        """The newest post that was delivered to all who were live."""
        self.newest = position
        """The newest post that was given to this room, delivered or not."""
        self.members: dict[Participant, Member] = {}
        self.live: dict[Participant, Member] = {}
        """Those whom turns reach; the other members are catching up."""
        self.rich_members = 0
        self.away: set[str] = set()
        """Nicks that are held for clients who dropped; for the others they are still here."""
        self.count = 0
        """How many are here as the others see it."""
        self.crowded = False
        self.pending: list[tuple[Entry, Pending | None]] = []
        self._events: list[Item | None] = []
        """What is no entry, in order; None: something that a later one made needless."""
        self._renames: dict[Participant, tuple[int, str]] = {}
        """Where in `_events` the rename of somebody is, and from which nick."""
        self._released: dict[str, Participant | None] = {}
        """Nicks that were given up in `_events`, and by whom if all of that was renames of one."""
        self._typing: set[Participant] = set()
        self.turn: Turn | None = None
        self.busy = False
        """Whether delivery has it in hand."""
        self._turned: Event | None = None
        self._rate = 0.0
        self._rated = 0.0
        """When the rate was that, by the clock of turns."""

    def add(self, member: Member) -> None:
        """Take a member in, who does not hear yet."""
        self.members[member.participant] = member
        self.rich_members += member.form.rich

    def remove(self, member: Member) -> None:
        """Remove a member: nothing of this room follows, not even in the turn that is going on."""
        member.active = False
        del self.members[member.participant]
        self.live.pop(member.participant, None)
        self.rich_members -= member.form.rich

    def go_live(self, member: Member) -> None:
        """Let turns reach a member who has heard everything up to `position`, and no more."""
        self.live[member.participant] = member
        if self.turn is not None:
            self.turn.recipients.append(member)

    def post(self, entry: Entry, pending: Pending | None) -> bool:
        """Take an entry into the next turn; return whether it is news to the room.

        It is none if the room was opened after the entry was stored: `position` then covers it.
        """
        if isinstance(entry, Topic):
            self.topic, self.topic_by = entry.topic, entry.by
        elif entry.position <= self.newest:
            return False
        else:
            self.newest = entry.position
        self.pending.append((entry, pending))
        return True

    def tell(self, event: events.Event, exclude: Participant | None = None) -> bool:
        """Let rich members hear an event in the next turn; return whether there are any."""
        if not self.rich_members:
            return False
        if isinstance(event, events.Typing) and exclude is not None:
            if exclude in self._typing:
                return True
            self._typing.add(exclude)
        if isinstance(event, events.Presence) and event.event == "leave":
            self._released[event.nick or ""] = None
        self._events.append(Item(event, exclude))
        return True

    def tell_rename(self, participant: Participant, former: str) -> bool:
        """Let rich members hear that somebody has another nick; return whether there are any.

        Several renames of one in a turn become one, told in place of the first. Not if the new
        nick was another's when the first was: then the two have to be told in order.
        """
        if not self.rich_members:
            return False
        nick = participant.nick
        place, first = self._renames.get(participant, (None, former))
        if place is not None and self._released.get(nick, participant) is participant:
            former = first
        else:
            place = len(self._events)
            self._renames[participant] = place, former
            self._events.append(None)
        releaser = self._released.get(former, participant)
        self._released[former] = participant if releaser is participant else None
        event = events.Presence(room=self.name, nick=former, event="rename", new_nick=nick)
        self._events[place] = Item(event, participant) if nick != former else None
        return True

    def begin_turn(self) -> "Turn | None":
        """Begin the next turn, if anything is pending."""
        if not self.pending and not self._events:
            return None
        items = self._take_events()
        size = len(items) * _TOLD_BYTES
        entries, rest = self.pending, self.pending[:0]
        for count, (entry, _) in enumerate(entries):
            size += size_of(entry) if isinstance(entry, Post) else _TOLD_BYTES + len(entry.topic)
            if size > TURN_BYTES and (count or items):
                entries, rest = entries[:count], entries[count:]
                break
        settled = [pending for _, pending in entries if pending is not None]
        items += self._items(entries)
        posts = [entry for entry, _ in entries if isinstance(entry, Post)]
        recipients: Iterable[Member] = self.live.values()
        if not posts:
            recipients = (member for member in recipients if member.form.rich)
        position = posts[-1].position if posts else self.position
        self.turn = Turn(items, list(recipients), len(posts), position, settled)
        self.pending = rest  # not earlier: what a bug meets is given up, its authors among it
        return self.turn

    def end_turn(self, turn: "Turn") -> None:
        """All who are live have heard this turn."""
        self.turn = None
        if turn.posts:
            self.position = turn.position
            self._rate = self.rate(turn.began) + turn.posts / _RATE_SECONDS
            self._rated = turn.began
        for pending in turn.settled:
            pending.author.acknowledged()
        self._wake()

    def rate(self, now: float) -> float:
        """Return the posts per second of the last seconds, at a time of `perf_counter`."""
        return self._rate and self._rate * math.exp((self._rated - now) / _RATE_SECONDS)

    def give_up(self) -> None:
        """Drop what is pending: it cannot be made a turn of, by a bug of ours."""
        dropped, self.pending = self.pending, []
        self._take_events(all_of_them=True)
        self.position = self.newest
        for _, pending in dropped:
            if pending is not None:
                pending.author.acknowledged()
        self._wake()

    def after_turn(self, seconds: float) -> bool:
        """Wait until a turn has ended, for some seconds; return whether one has."""
        if self._turned is None:
            self._turned = Event()
        return self._turned.wait(seconds)

    def _wake(self) -> None:
        if self._turned is not None:
            self._turned.set()
            self._turned = None

    def _take_events(self, *, all_of_them: bool = False) -> list[Item]:
        """Return the events of the next turn, which others may follow."""
        most = len(self._events) if all_of_them else max(TURN_BYTES // _TOLD_BYTES, 1)
        items = [item for item in self._events[:most] if item is not None]
        self._events = self._events[most:]
        self._renames.clear()
        self._released.clear()
        self._typing.clear()
        return items

    def _items(self, entries: list[tuple[Entry, Pending | None]]) -> list[Item]:
        """Return what is heard of entries; of topics only the newest, at its place.

        Whoever set another one hears the newest as the answer.
        """
        items: list[Item | None] = []
        asked: list[Pending] = []
        newest: int | None = None
        for entry, pending in entries:
            if isinstance(entry, Post):
                items.append(Item(entry, pending.author if pending is not None else None))
                continue
            if pending is not None:
                asked.append(pending)
            if newest is not None:
                items[newest] = None
            newest = len(items)
            items.append(Item(entry))
        if newest is not None and (item := items[newest]) is not None:
            items[newest] = Item(item.event, asked=tuple(asked))
            for author, request_id, _ in asked:
                if author not in self.live:  # turns do not reach it
                    author.answer(replace(item.event, id=request_id))
        return [item for item in items if item is not None]


class Turn:
    """What the members of a room hear next, and how far the walk past them has come."""

    __slots__ = (
        "_encoded", "began", "items", "position", "posts", "recipients", "settled", "walked"
    )  # fmt: skip

    def __init__(
        self,
        items: list[Item],
        recipients: list[Member],
        posts: int,
        position: int,
        settled: list[Pending],
    ) -> None:
        self.items = items
        self.recipients = recipients
        """Those to be reached; grows while it is walked."""
        self.posts = posts
        """How many of the items are posts."""
        self.position = position
        """The newest that is delivered when it ends."""
        self.settled = settled
        """Who is acknowledged when the turn ends."""
        self.walked = 0
        self.began = time.perf_counter()
        self._encoded: dict[Form, _Encoded] = {}

    @property
    def came(self) -> float:
        """When the first of its posts was submitted here, as far as that is known."""
        return self.settled[0].came if self.settled else self.began

    def put(self, count: int) -> list[Outbox]:
        """Put the turn into the outboxes of the next `count` members; return those to be flushed.

        A bug with one member ends that member's session and skips no other.
        """
        touched: list[Outbox] = []
        form: Form | None = None
        end = self.walked + count
        for member in self.recipients[self.walked : end]:
            if not member.active:
                continue
            if member.form is not form:
                form = member.form
                encoded = self._encoded.get(form) or self._encode(form)
                blob, own = encoded.blob, encoded.own
            try:
                if own and member.participant in own:
                    for piece in encoded.for_one(member.participant):
                        member.outbox.put(piece)
                elif blob:
                    member.outbox.put(blob)
                else:
                    continue
                touched.append(member.outbox)
            except Exception:
                _log.exception("delivering to a member of the room %r failed", member.room.name)
                member.participant.end(INTERNAL)
        self.walked = min(end, len(self.recipients))
        return touched

    @property
    def done(self) -> bool:
        """Whether everyone was reached."""
        return self.walked == len(self.recipients)

    def _encode(self, form: Form) -> "_Encoded":
        encoded = self._encoded[form] = _Encoded(form, self.items)
        return encoded


class _Encoded:
    """A turn in one wire form, and what single members hear instead of parts of it."""

    __slots__ = ("blob", "own")

    def __init__(self, form: Form, items: list[Item]) -> None:
        self.own: dict[Participant, list[tuple[int, int, bytes]]] = {}
        """Parts of the blob that are left out for somebody, and what comes in their place."""
        own, encode, rich = self.own, form.encode, form.rich
        parts = []
        start = 0
        for event, exclude, asked in items:
            part = encode(event)
            parts.append(part)
            end = start + len(part)
            # In a rich form authors hear their own posts.
            if (
                exclude is not None
                and exclude.form is form
                and not (rich and isinstance(event, Post))
            ):
                own.setdefault(exclude, []).append((start, end, b""))
            if asked and rich:
                self._answer(form, event, asked, start, end)
            start = end
        self.blob = b"".join(parts)

    def _answer(
        self, form: Form, event: events.Event, asked: Iterable[Pending], start: int, end: int
    ) -> None:
        """Let those who asked for an event hear it as the answers to their requests."""
        answers: dict[Participant, list[bytes]] = {}
        for author, request_id, _ in asked:
            answer = form.encode(replace(event, id=request_id))
            answers.setdefault(author, []).append(answer)
        for author, several in answers.items():
            self.own.setdefault(author, []).append((start, end, b"".join(several)))

    def for_one(self, participant: Participant) -> list[bytes | memoryview]:
        """Return what one member hears, in pieces: many exclusions cost no more than their sum."""
        shared = memoryview(self.blob)
        pieces: list[bytes | memoryview] = []
        start = 0
        for cut, end, instead in self.own[participant]:
            pieces += (shared[start:cut], instead)
            start = end
        pieces.append(shared[start:])
        pieces = [piece for piece in pieces if piece]
        if len(self.blob) <= _JOINED_BYTES and len(pieces) > 1:
            return [b"".join(pieces)]
        return pieces
