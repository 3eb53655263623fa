"""The timeline: the rooms' ordered record. Submissions go in; entries come back, stored.

A turn of the timeline takes all that was submitted since the last one, drops repetitions, numbers
the rest, stores it, and only then hands it on to be delivered. So a post that anybody has seen is
stored, and a commit that fails leaves no hole: positions are assigned inside it.

`deliver` is called later: the hub must not assume that a submission is answered at once. The
entries of a batch may be anybody's; verdicts name submissions of this server by their numbers.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import gevent
import msgspec
from gevent.event import Event
from msgspec import Struct

from geventchat.config import Limits
from geventchat.protocol.events import Post, Topic
from geventchat.server.histogram import Histogram

PAGE_BYTES: Final = 256 << 10
"""What one reading of the record gives at most, but for a single longer post."""
_FRAME_BYTES: Final = 160
"""What a post takes besides its text; names of 32 characters of four bytes take more, keys too."""

_log = logging.getLogger(__name__)


Entry: TypeAlias = Post | Topic
"""What is stored in order."""


class Submission(Struct, eq=False):
    """Something to be stored, on its way to become an entry."""

    number: int
    """Names it in the verdict; drawn by who submits, never 0."""
    room: str
    author: str
    text: str
    client: bytes = b""
    """Hash of the client's id."""
    key: str | None = None
    """A say of the same client, room and key is stored once."""
    is_topic: bool = False
    """Whether the text is the room's topic from here on."""


@dataclass(slots=True)
class Batch:
    """The entries and verdicts of one turn; each submission is in it once."""

    entries: list[tuple[Entry, int]] = field(default_factory=list)
    """Stored, in the order of the record, each with its submission's number.

    A topic that a later one of the same turn overtook was never stored; it is here for its author.
    """
    repeated: list[tuple[int, int]] = field(default_factory=list)
    """Submissions that were stored before, and their positions."""
    conflicts: list[int] = field(default_factory=list)
    """Submissions whose key was used for another text."""
    failed: list[int] = field(default_factory=list)
    """Submissions that are not stored; no position was used up."""


class Timeline(ABC):
    """The record of all rooms: `append`, read, and be delivered to.

    `start` spawns the greenlet whose turns call `deliver`; `close` ends it after what was appended
    has been stored and delivered. A room's ends and topic are known while it is open.
    """

    epoch: str
    """Names one life of the record; see docs/protocol.md."""

    def __init__(self, deliver: Callable[[Batch], None]) -> None:
        self._hand_on = deliver
        self._submitted: list[Submission] = []
        self._wake = Event()
        self._closing = False
        self.store_times = Histogram()
        """How long each batch took to store."""
        self.posts_stored = 0
        self._turns: gevent.Greenlet[[], None] | None = None

    def start(self) -> None:
        """Begin to take turns."""
        self._turns = gevent.spawn(self._take_turns)
        self._turns.name = "timeline"

    @property
    def greenlets(self) -> list["gevent.Greenlet[..., None]"]:
        """The greenlets without which nothing is stored any more, once it was started."""
        return [self._turns] if self._turns is not None else []

    def append(self, submission: Submission) -> None:
        """Take a submission into the next turn; `deliver` brings its verdict. Never waits."""
        self._submitted.append(submission)
        # The event switches to the turns only after every reader that is readable now has run, so
        # one turn takes what they all said.
        self._wake.set()

    def close(self, seconds: float) -> bool:
        """Store and deliver what was appended, then end; give whether that was done in time.

        Waits, at most for so long.
        """
        self._closing = True
        self._wake.set()
        if self._turns is not None:
            self._turns.join(seconds)
        return self._turns is None or (self._turns.successful() and not self._submitted)

    @property
    def failing(self) -> bool:
        """Whether the last turn could not be stored, and nothing shows that the next can be."""
        return False

    @property
    def guard_failing(self) -> bool:
        """Whether a restored older copy would not be noticed, since its guard cannot be written."""
        return False

    @property
    def full(self) -> bool:
        """Whether no room can be begun any more, since none may ever be forgotten."""
        return False

    @abstractmethod
    def configure(self, limits: Limits) -> None:
        """Take over changed limits."""

    @contextmanager
    def opened(self, room: str) -> Iterator[None]:
        """Keep a room open meanwhile. May wait to open it. Raises Refused `storage`."""
        self.open(room)
        try:
            yield
        finally:
            self.release(room)

    @abstractmethod
    def open(self, room: str) -> None:
        """Let the ends and the topic of a room be known until as many `release`.

        May wait. Raises Refused `storage`.
        """

    @abstractmethod
    def hold(self, room: str) -> None:
        """Keep a room open that is open. Never waits."""

    @abstractmethod
    def release(self, room: str) -> None:
        """Take one `open` or `hold` back. Never waits."""

    @abstractmethod
    def position(self, room: str) -> int:
        """Give the newest position stored in a room, 0 if there is none. Never waits."""

    @abstractmethod
    def oldest(self, room: str) -> int:
        """Give the oldest position kept in a room; 1 in an empty one. Never waits."""

    @abstractmethod
    def topic(self, room: str) -> str:
        """Give a room's topic, or nothing. Never waits."""

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
    def _take_turns(self) -> None:
        """Take turns until closing and nothing is left."""

    def _taken(self) -> list[Submission]:
        """Give what was submitted since the last turn, waiting for something; nothing: closing."""
        while not self._submitted and not self._closing:
            self._wake.clear()
            self._wake.wait()
        taken, self._submitted = self._submitted, []
        return taken

    def _deliver(self, batch: Batch) -> None:
        try:
            self._hand_on(batch)
        except Exception:  # a bug in delivery must not end the record
            _log.exception("delivering a batch failed")


def failed(submissions: Iterable[Submission]) -> Batch:
    """Give the batch of a turn that was not stored."""
    return Batch(failed=[each.number for each in submissions])


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
