"""The timeline: the rooms' ordered record. What is said goes in; posts come back, stored.

A turn of the timeline takes all that was said since the last one, drops what was said before,
numbers the rest, stores it, and only then hands it on to be delivered. So a post that anybody has
seen is in the record, and a commit that fails leaves no hole: positions are given inside it.

`deliver` is a call that comes back, later: the hub must not assume that what a session appended is
answered in the same breath.
"""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import gevent
import msgspec
from gevent.event import Event

from geventchat.protocol.errors import ErrorCode
from geventchat.protocol.events import Post
from geventchat.server.times import Times

PAGE_BYTES: Final = 256 << 10
"""What one reading of the record gives at most, but for a single longer post."""
_FRAME_BYTES: Final = 160
"""What a post takes besides its text; names of 32 characters of four bytes take more, keys too."""

_log = logging.getLogger(__name__)


class Author(Protocol):
    """Whoever said something and waits for its verdict. Nothing here waits."""

    rich: bool
    """Whether the author hears its own posts."""

    def settled(self) -> None:
        """What was said is a post, and all who hear the room have it, this author included."""

    def repeated(self, said: "Said", position: int) -> None:
        """It was said before, and is stored at this position."""

    def refused(self, said: "Said", code: ErrorCode, text: str) -> None:
        """It is not stored, and the text says why."""


@dataclass(slots=True, eq=False)
class Said:
    """What somebody said, on its way to become a post."""

    session: Author
    room: str
    author: str
    text: str
    client: bytes = b""
    """Hash of the client's id."""
    key: str | None = None
    """A say of the same client, room and key is stored once."""
    request_id: str | None = None
    """What the verdict carries, where it is not the post."""
    came: float = field(default_factory=time.perf_counter)
    """When it came, by the clock of turns."""


@dataclass(slots=True)
class Batch:
    """What became of everything that one turn took; each Said is in it once."""

    posts: list[tuple[Post, Said]] = field(default_factory=list)
    """Stored, in the order of the record."""
    repeated: list[tuple[Said, int]] = field(default_factory=list)
    """Stored before, at this position."""
    conflicts: list[Said] = field(default_factory=list)
    """Its key was used for another text."""
    failed: list[Said] = field(default_factory=list)
    """Not stored, and no position was used up."""


class Timeline(ABC):
    """The record of all rooms: `append`, read, and be delivered to.

    `start` spawns the greenlet whose turns call `deliver`; `close` ends it after what was appended
    has been stored and delivered.
    """

    epoch: str
    """Names one life of the record; see docs/protocol.md."""

    def __init__(self, deliver: Callable[[Batch], None]) -> None:
        self._hand_on = deliver
        self._said: list[Said] = []
        self._wake = Event()
        self._closing = False
        self.store_times = Times()
        """How long each batch took to store."""
        self.posts_stored = 0
        self._turns: gevent.Greenlet[[], None] | None = None

    def start(self) -> None:
        """Begin to take turns."""
        self._turns = gevent.spawn(self._take_turns)
        self._turns.name = "timeline"

    def append(self, said: Said) -> None:
        """Take what was said into the next turn; `deliver` brings its verdict. Never waits."""
        self._said.append(said)
        # The event switches to the turns only after every reader that is readable now has run, so
        # one turn takes what they all said.
        self._wake.set()

    @property
    def greenlets(self) -> list["gevent.Greenlet[..., None]"]:
        """The greenlets without which nothing is stored any more, once it was started."""
        return [self._turns] if self._turns is not None else []

    def close(self, seconds: float) -> bool:
        """Store and deliver what was appended, then end; give whether that was done in time.

        Waits, at most for so long.
        """
        self._closing = True
        self._wake.set()
        if self._turns is not None:
            self._turns.join(seconds)
        return self._turns is None or (self._turns.successful() and not self._said)

    @property
    def failing(self) -> bool:
        """Whether what was said last could not be stored, and nothing shows that it can be now."""
        return False

    @abstractmethod
    def position(self, room: str) -> int:
        """Give the newest position stored in a room, 0 if there is none. Never waits."""

    @abstractmethod
    def oldest(self, room: str) -> int:
        """Give the oldest position kept in a room; 1 in an empty one. Never waits."""

    @abstractmethod
    def since(self, room: str, after: int, upto: int) -> list[Post]:
        """Give the posts of a room beyond `after`, oldest first, up to and with `upto`.

        At most some PAGE_BYTES of them; the caller asks again from the last. May wait.
        Raises Refused `storage`.
        """

    @abstractmethod
    def before(self, room: str, end: int, limit: int) -> list[Post]:
        """Give the last `limit` posts of a room below position `end`, oldest first.

        At most some PAGE_BYTES of them, the newest. May wait. Raises Refused `storage`.
        """

    @abstractmethod
    def topic(self, room: str) -> str:
        """Give a room's topic, or nothing. Never waits."""

    @abstractmethod
    def set_topic(self, room: str, topic: str) -> None:
        """Keep a room's topic. May wait. Raises Refused `storage`."""

    @abstractmethod
    def _take_turns(self) -> None:
        """Take turns until closing and nothing is left."""

    def _taken(self) -> list[Said]:
        """Give what was said since the last turn, waiting for something; nothing: closing."""
        while not self._said and not self._closing:
            self._wake.clear()
            self._wake.wait()
        said, self._said = self._said, []
        return said

    def _deliver(self, batch: Batch) -> None:
        try:
            self._hand_on(batch)
        except Exception:  # a bug in delivery must not end the record
            _log.exception("delivering a batch failed")


def size_of(post: Post) -> int:
    """Give the bytes that a post takes on the wire, or a little more.

    Control characters take six in JSON, so only plain text is measured without encoding it.
    """
    text = post.text
    if text.isascii() and text.isprintable():
        return len(text) + _FRAME_BYTES
    return len(msgspec.json.encode(text)) + _FRAME_BYTES


def within_page(posts: Sequence[Post]) -> list[Post]:
    """Give the newest of these posts that fit in a page, at least one."""
    size = 0
    for count, post in enumerate(reversed(posts)):
        size += size_of(post)
        if size > PAGE_BYTES and count:
            return list(posts[-count:])
    return list(posts)
