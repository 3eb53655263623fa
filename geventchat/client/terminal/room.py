"""What a user sees of one room, and of a message that is on its way."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from geventchat.client.events import Gap
from geventchat.client.terminal import formatting
from geventchat.client.terminal.formatting import Line
from geventchat.client.terminal.recent import RecentPosts
from geventchat.protocol.events import Joined, Post

MAX_UNREAD_POSTS: Final = 200
"""Posts kept of a room other than the current one."""


@dataclass(slots=True)
class Room:
    """One room."""

    name: str
    joined: bool = False
    waits: bool = False
    """Whether the server cannot open it now, and is asked again."""
    private: bool = False
    moderator: bool = False
    """Whether the user is one of its moderators."""
    partner: str = ""
    """The nick of the other of a direct conversation."""
    topic: str = ""
    count: int = 0
    nicks: set[str] = field(default_factory=set)
    """Known members; complete in rooms of at most 500."""
    waiting: deque[Post | Gap | Line] = field(default_factory=deque)
    """Posts, gaps, and lines about earlier posts, to print when the user switches to this room."""
    told: set[int] = field(default_factory=set)
    """Positions of waiting posts that were already printed while the user was elsewhere."""
    recent: RecentPosts = field(default_factory=RecentPosts)
    dropped: int = 0
    """Older posts that were waiting too, and were too many."""
    unread: int = 0
    mentioned: bool = False
    """Whether an unread post mentions the user."""
    replayed: int = 0
    """Posts up to this position are older than the join."""
    read: int = 0
    """Posts up to this position are not unread."""
    counted: int = 0
    """Up to this position the server has counted what is unread."""
    oldest: int | None = None
    """The lowest position that was printed, since the last hole if there is one."""

    @property
    def title(self) -> str:
        """What it is called: a conversation has an id for a name, which says nothing."""
        return f"@{self.partner}" if self.partner else self.name

    def begin(self, joined: Joined, *, again: bool, shown: bool) -> None:
        """Begin, or go on, as the server says, which counts for an account what is unread.

        `shown`: the user is in it, so nothing is. In a conversation all is unread that may not have
        been read.
        """
        read = joined.position if joined.read is None else joined.read
        if joined.with_ is not None:
            read = joined.read or 0
        if again and (joined.read is None or read <= self.read):
            return
        self.read = read
        if not again:
            self.replayed = joined.position
        if joined.read is not None and not shown:
            self.counted = joined.position
            self.unread = joined.unread
            self.mentioned = bool(joined.unread if self.partner else joined.mentions)

    def counts(self, post: Post, *, own: bool) -> bool:
        """Count a post as unread, if it is; return whether to tell of it at once."""
        if (
            own and self.partner and post.position > self.counted
        ):  # an answer, perhaps from another device
            self.unread, self.mentioned = 0, False
            self.read = max(self.read, post.position)
        if own or post.redacted or post.position <= self.read:
            return False
        self.unread += post.position > self.counted
        # Of those that a conversation brings, the newest stands for all.
        return post.position > self.replayed - bool(self.partner)

    def uncount(self, post: Post) -> None:
        """Count a post of somebody else as unread no more: it was taken back."""
        if self.unread and post.position > self.read and not post.redacted:
            self.unread -= 1
            self.mentioned = self.mentioned and self.unread > 0

    def wait(self, item: Post | Gap | Line) -> None:
        """Keep a post, a gap or a line until the user switches to this room."""
        self.waiting.append(item)
        if len(self.waiting) > MAX_UNREAD_POSTS:
            dropped = self.waiting.popleft()
            if isinstance(dropped, Post):
                self.dropped += 1
                self.told.discard(dropped.position)


@dataclass(frozen=True, slots=True)
class PendingSay:
    """A message that is not acknowledged yet."""

    room: str
    text: str
    since: float
    """Monotonic seconds."""


def hole(room: Room) -> Line:
    """Return the line where posts are missing, from which /history goes on."""
    room.oldest = None
    return formatting.notice(f"some messages in {room.title} may be missing; see /history")


def heading(room: Room) -> Line:
    """Return the line above what is said in a room."""
    parts = [room.title, f"{room.count} here", *([room.topic] if room.topic else [])]
    return formatting.separator(" · ".join(parts))


def waits(room: Room, why: str) -> Line:
    """Note that a room cannot be opened now, for which the connection asks again; return a line."""
    room.waits = True
    return formatting.error(f"{room.title} cannot be opened yet; trying again. {why}")


def swap(room: Room, nick: str, new: str) -> None:
    """Rename a member."""
    if nick in room.nicks:
        room.nicks.discard(nick)
        room.nicks.add(new)
