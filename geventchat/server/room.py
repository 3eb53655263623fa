"""A room: who hears it, and the turns in which its members hear what is new.

All that a room's members hear goes out in turns, so all hear it in one order: posts, presence,
topics. A turn encodes what has gathered once per wire form and then walks the members who are live;
it may be cut into slices, and between slices members come and go. `position` is what has been
delivered to everyone: it moves when a turn ends.

Nothing here waits but `after_turn`.
"""

import math
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from gevent.event import Event

from geventchat.protocol import events
from geventchat.protocol.events import Post
from geventchat.server.outbox import Outbox
from geventchat.server.timeline import Author, Said, size_of

if TYPE_CHECKING:
    from geventchat.server.session import Session

TURN_BYTES: Final = 256 << 10
"""What one turn takes, but for a single longer post."""
_RATE_SECONDS: Final = 5.0
"""How far back the rate of posts looks; what is older fades."""


class Member:
    """One session's membership of one room. Leaving ends it; coming back makes another."""

    __slots__ = ("announced", "outbox", "rich", "room", "session", "stands")

    def __init__(self, session: "Session", room: "Room") -> None:
        self.session = session
        self.outbox: Outbox = session.outbox
        self.rich: bool = session.rich
        self.room = room
        self.stands = True
        self.announced = False
        """Whether the others have been told."""


class Room:
    """A room that has members."""

    __slots__ = (
        "_rate", "_rated", "_told", "_turned", "away", "busy", "count", "crowded", "live",
        "members", "name", "newest", "opener", "pending", "position", "rich_members", "topic",
        "topic_by", "turn",
    )  # fmt: skip

    def __init__(self, name: str, position: int, topic: str, opener: str | None = None) -> None:
        self.name = name
        self.opener = opener
        """Where it was opened from, if that is counted."""
        self.topic = topic
        self.topic_by = ""
        """Who set it, if that was while the room was open."""
        self.position = position
        """The newest post that was delivered to all who were live."""
        self.newest = position
        """The newest post that was given to this room, delivered or not."""
        self.members: dict[Session, Member] = {}
        self.live: dict[Session, Member] = {}
        """Those whom turns reach; the other members are catching up."""
        self.rich_members = 0
        self.away: set[str] = set()
        """Nicks that are held for clients who dropped; for the others they are still here."""
        self.count = 0
        """How many are here in the eyes of the others."""
        self.crowded = False
        self.pending: list[tuple[Post, Said]] = []
        self._told: list[tuple[bytes, Session | None]] = []
        self.turn: Turn | None = None
        self.busy = False
        """Whether delivery has it in hand."""
        self._turned: Event | None = None
        self._rate = 0.0
        self._rated = 0.0
        """When the rate was that, by the clock of turns."""

    def add(self, member: Member) -> None:
        """Take a member in, who does not hear yet."""
        self.members[member.session] = member
        self.rich_members += member.rich

    def remove(self, member: Member) -> None:
        """Let a member go: nothing of this room follows, not even in the turn that is going on."""
        member.stands = False
        del self.members[member.session]
        self.live.pop(member.session, None)
        self.rich_members -= member.rich

    def go_live(self, member: Member) -> None:
        """Let turns reach a member who has heard everything up to `position`, and no more."""
        self.live[member.session] = member
        if self.turn is not None:
            self.turn.walk.append(member)

    def post(self, post: Post, said: Said) -> bool:
        """Give the room a post for its next turn; say whether it is news to the room.

        It is none if the room was opened after the post was stored: `position` then covers it.
        """
        if post.position <= self.newest:
            return False
        self.newest = post.position
        self.pending.append((post, said))
        return True

    def tell(self, event: events.Event, but: "Session | None" = None) -> bool:
        """Let rich members hear an event in the next turn; say whether there are any."""
        if not self.rich_members:
            return False
        self._told.append((events.encode(event) + b"\0", but))
        return True

    def begin_turn(self) -> "Turn | None":
        """Begin the next turn, if anything has gathered."""
        if not self.pending and not self._told:
            return None
        posts = self.pending
        size = 0
        for count, (post, _) in enumerate(posts):
            size += size_of(post)
            if size > TURN_BYTES and count:
                posts, self.pending = posts[:count], posts[count:]
                break
        else:
            self.pending = []
        told, self._told = self._told, []
        walk: Iterable[Member] = self.live.values()
        if not posts:
            walk = (member for member in walk if member.rich)
        self.turn = Turn(posts, told, list(walk))
        return self.turn

    def end_turn(self, turn: "Turn") -> None:
        """All who are live have heard this turn."""
        self.turn = None
        if turn.posts:
            self.position = turn.posts[-1][0].position
            self._rate = self.rate(turn.began) + len(turn.posts) / _RATE_SECONDS
            self._rated = turn.began
            for _, said in turn.posts:
                said.session.settled()
        if self._turned is not None:
            self._turned.set()
            self._turned = None

    def rate(self, now: float) -> float:
        """Give the posts per second of the last seconds, at a time of `perf_counter`."""
        return self._rate and self._rate * math.exp((self._rated - now) / _RATE_SECONDS)

    def give_up(self) -> None:
        """Drop what has gathered: it cannot be made a turn of, by a bug of ours."""
        dropped, self.pending, self._told = self.pending, [], []
        self.position = self.newest
        for _, said in dropped:
            said.session.settled()

    def after_turn(self, seconds: float) -> None:
        """Wait until a turn has ended."""
        if self._turned is None:
            self._turned = Event()
        self._turned.wait(seconds)


class Turn:
    """What the members of a room hear next, and how far the walk past them has come."""

    __slots__ = (
        "_plain", "_plain_own", "_rich", "_rich_own", "began", "posts", "told", "walk", "walked",
    )  # fmt: skip

    def __init__(
        self,
        posts: list[tuple[Post, Said]],
        told: list[tuple[bytes, "Session | None"]],
        walk: list[Member],
    ) -> None:
        self.posts = posts
        self.told = told
        self.walk = walk
        """Those to be reached; grows while it is walked."""
        self.walked = 0
        self.began = time.perf_counter()
        self._plain: bytes | None = None
        self._plain_own: dict[object, bytes] = {}
        self._rich: bytes | None = None
        self._rich_own: dict[object, bytes] = {}

    def put(self, count: int) -> list[Outbox]:
        """Put the turn into the outboxes of the next `count` members; give those to be flushed."""
        touched: list[Outbox] = []
        end = self.walked + count
        for member in self.walk[self.walked : end]:
            if not member.stands:
                continue
            if member.rich:
                item = self._rich
                if item is None:
                    item = self._encode_rich()
                if self._rich_own:
                    item = self._rich_own.get(member.session, item)
            else:
                item = self._plain
                if item is None:
                    item = self._encode_plain()
                item = self._plain_own.get(member.session, item)
            if item:
                member.outbox.put(item)
                touched.append(member.outbox)
        self.walked = min(end, len(self.walk))
        return touched

    @property
    def done(self) -> bool:
        """Whether everyone was reached."""
        return self.walked == len(self.walk)

    def _encode_rich(self) -> bytes:
        posts = b"".join([events.encode(post) + b"\0" for post, _ in self.posts])
        self._rich = b"".join([told for told, _ in self.told]) + posts
        for spared in {but for _, but in self.told if but is not None}:
            self._rich_own[spared] = (
                b"".join([told for told, but in self.told if but is not spared]) + posts
            )
        return self._rich

    def _encode_plain(self) -> bytes:
        """Join the bodies; cut each plain author's own out for that author, by offset."""
        cuts: dict[Author, list[tuple[int, int]]] = {}
        parts = []
        start = 0
        for post, said in self.posts:
            body = post.text.encode() + b"\0"
            end = start + len(body)
            parts.append(body)
            author = said.session
            if not author.rich:
                cuts.setdefault(author, []).append((start, end))
            start = end
        blob = self._plain = b"".join(parts)
        for author, own in cuts.items():
            kept = []
            start = 0
            for cut, end in own:
                kept.append(blob[start:cut])
                start = end
            kept.append(blob[start:])
            self._plain_own[author] = b"".join(kept)
        return blob
