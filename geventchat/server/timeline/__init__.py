"""The timeline: the ordered history of the rooms. Submissions go in; entries come back, stored.

A turn of the timeline takes all submissions since the last one, drops repetitions, numbers the
rest, stores them, and only then passes them on for delivery. So every post that a client has seen
is stored, and a failed commit leaves no hole: positions are assigned inside it.

`deliver` is called later: the hub must not assume that a submission is answered at once. The
entries of a batch may be of any server; verdicts name submissions of this one by their numbers.
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

from geventchat.config import Limits
from geventchat.protocol.events import Edited, ListedRoom, Post, Topic
from geventchat.server.histogram import Histogram
from geventchat.server.timeline.changes import Change, Refusal
from geventchat.server.timeline.gathering import ENOUGH, Gathering
from geventchat.server.timeline.nodes import Alone, Nodes
from geventchat.server.timeline.submission import Behind, Kind, RecordChange, Submission

__all__ = [
    "Batch", "Behind", "Change", "Entry", "Kind", "RecordChange", "Submission", "Timeline",
]  # fmt: skip

PAGE_BYTES: Final = 256 << 10
"""Maximum size of a page of posts, unless a single post is larger."""
_FRAME_BYTES: Final = 160
"""Size of a post without its text; keys and names of 32 four-byte characters take more."""

_log = logging.getLogger(__name__)


Entry: TypeAlias = Post | Topic | Change
"""One item of the ordered history."""


@dataclass(slots=True)
class Batch:
    """The entries and verdicts of one turn; each submission is in it once."""

    entries: list[tuple[Entry, int]] = field(default_factory=list)
    """Stored entries in order, each with its submission's number.

    A topic that was superseded in the same turn was never stored; it is here for its author.
    """
    repeated: list[tuple[int, int]] = field(default_factory=list)
    """Submissions that were already stored, and their positions."""
    conflicts: list[int] = field(default_factory=list)
    """Submissions whose key was used for another text."""
    unchanged: list[tuple[int, Change]] = field(default_factory=list)
    """Submissions that had nothing to change, and the present state of the post."""
    refused: list[tuple[int, Refusal]] = field(default_factory=list)
    """Submissions that may not change a post, and why."""
    failed: list[int] = field(default_factory=list)
    """Submissions that were not stored, and never will be; they used no position."""
    unknown: list[int] = field(default_factory=list)
    """Submissions of which it is not known whether they were stored, or may still be.

    All that was pending after them has failed: nobody's later message may come before.
    """


class Timeline(ABC):
    """The history of all rooms: appends, delivers and reads.

    `start` spawns the greenlet whose turns call `deliver`; `close` ends it after all appended
    submissions are stored and delivered. `position`, `oldest`, `topic` and `change` need an open
    room.
    """

    epoch: str
    """Identifies this history; positions of another epoch are void. See docs/protocol.md."""

    def __init__(self, deliver: Callable[[Batch], None]) -> None:
        self._on_batch = deliver
        self._submitted: list[Submission] = []
        self._wake = Event()
        self._gathering = Gathering()
        self._closing = False
        self.epoch_changed: Callable[[], None] = lambda: None
        """Called when `epoch`, and all positions, have changed while running. Never waits."""
        self.nodes: Nodes = Alone()
        """The other servers on the same store."""
        self.lost: str | None = None
        """Why nothing is ever stored any more, and the server has to end."""
        self.store_times = Histogram()
        """Time to store each batch."""
        self.posts_stored = 0
        self.posts_trimmed = 0
        """Number of posts deleted because of a limit of the history."""
        self.file_bytes = 0, 0
        """Bytes of the database and of its write-ahead log, a second old; 0 without one."""
        self._turns: gevent.Greenlet[[], None] | None = None

    def start(self) -> None:
        """Start taking turns."""
        self._turns = gevent.spawn(self._take_turns)
        self._turns.name = "timeline"

    @property
    def greenlets(self) -> list["gevent.Greenlet[..., None]"]:
        """The greenlets that storing depends on, after `start`."""
        return [self._turns] if self._turns is not None else []

    def append(self, submission: Submission) -> None:
        """Queue a submission for the next turn; `deliver` gets its verdict. Never waits."""
        self._submitted.append(submission)
        count = len(self._submitted)
        if count == 1 or count == ENOUGH:
            # The event switches to the turns only after every reader that is readable now has run,
            # so one turn takes the submissions of them all.
            self._wake.set()

    def close(self, seconds: float) -> bool:
        """Store and deliver all appended submissions, then end; return whether it was in time.

        Waits for at most `seconds`.
        """
        self._closing = True
        self._wake.set()
        if self._turns is not None:
            self._turns.join(seconds)
        return self._turns is None or (self._turns.successful() and not self._submitted)

    @property
    def failing(self) -> bool:
        """Whether a turn could not be stored, and since then there was no space for a post."""
        return False

    @property
    def feed_holes(self) -> int:
        """How often something was missed of what this and other servers have stored."""
        return 0

    @property
    def silent_seconds(self) -> float:
        """How long ago anything was heard of a store that others use: a second at most."""
        return 0.0

    @property
    def guard_failing(self) -> bool:
        """Whether a rollback would go unnoticed because the guard file cannot be written."""
        return False

    @property
    def full(self) -> bool:
        """Whether no room can be created any more; rooms are never deleted."""
        return False

    @abstractmethod
    def configure(self, limits: Limits) -> None:
        """Apply changed limits."""

    @contextmanager
    def opened(self, room: str) -> Iterator[None]:
        """Hold a room open in a `with` block. May wait to open it. Raises Refused `storage`."""
        self.open(room)
        try:
            yield
        finally:
            self.release(room)

    @abstractmethod
    def open(self, room: str) -> None:
        """Load `position` and the like of a room, until as many calls of `release`.

        May wait. Raises Refused `storage`.
        """

    @abstractmethod
    def hold(self, room: str) -> None:
        """Open a room that is open already once more. Never waits."""

    @abstractmethod
    def release(self, room: str) -> None:
        """Undo one `open` or `hold`. Never waits."""

    @abstractmethod
    def position(self, room: str) -> int:
        """Return the newest position in a room, 0 if it never had a post. Never waits."""

    @abstractmethod
    def oldest(self, room: str) -> int:
        """Return the position of a room's oldest post, one past the newest if none. Never waits."""

    @abstractmethod
    def topic(self, room: str) -> str:
        """Return a room's topic, which may be empty. Never waits."""

    @abstractmethod
    def change(self, room: str) -> int:
        """Return the number of a room's newest change, 0 if it never had one. Never waits."""

    @abstractmethod
    def missed(self, room: str, position: int, change: int | None) -> int | None:
        """Return the number after which a client that resumes has to be told all changes.

        It knows the posts up to `position`, and the changes up to `change`; without that, those
        that were made before `position` was the newest. Returns None if it would have to be told
        more than MOST_MISSED. May wait. Raises Refused `storage`.
        """

    @abstractmethod
    def changes(self, room: str, after: int, position: int) -> tuple[list[Change], int]:
        """Return the changes after number `after` of posts up to `position`, in order.

        At most PAGE_BYTES of them, and the number up to which there is no other: the caller
        continues from there. Only the latest change of each post. May wait.
        Raises Refused `storage`.
        """

    @abstractmethod
    def since(self, room: str, after: int, upto: int) -> list[Post]:
        """Return the posts of a room after `after`, up to and including `upto`, oldest first.

        At most PAGE_BYTES of them; the caller continues from the last. May wait.
        Raises Refused `storage`.
        """

    @abstractmethod
    def before(self, room: str, end: int, limit: int) -> list[Post]:
        """Return the last `limit` posts of a room below position `end`, oldest first.

        At most PAGE_BYTES of them, the newest. May wait. Raises Refused `storage`.
        """

    @abstractmethod
    def at(self, room: str, positions: Sequence[int]) -> list[Post]:
        """Return the posts at these positions that are still stored. May wait.

        Raises Refused `storage`.
        """

    @abstractmethod
    def with_topic(self, prefix: str, after: str, limit: int) -> list[ListedRoom]:
        """Return the first `limit` rooms after a name, by name, that have a topic.

        Only those that are listed, whose names begin with `prefix`; `members` is 0. Costs what it
        returns, however many rooms there are. May wait. Raises Refused `storage`.
        """

    @abstractmethod
    def newest_posts(self, prefix: str) -> list[tuple[str, int, int]]:
        """Return the rooms whose names begin with a character, with their newest posts. Blocks.

        Of each its name, its newest position, and the time of that post in ms since 1970; 0: it is
        not stored any more.
        """

    @abstractmethod
    def records(self, kind: str) -> list[tuple[str, bytes]]:
        """Return the records of a kind, by id: what is kept beside the history. Blocks."""

    @abstractmethod
    def keep(self, changes: Sequence[RecordChange]) -> None:
        """Write records, all of them or none; they are on disk when this returns.

        They are written as they were when all was known that this server has heard until now.
        Waits. Raises Refused `storage`, and Behind if another server was faster.
        """

    @abstractmethod
    def _take_turns(self) -> None:
        """Take turns until it is closing and no submission is pending."""

    def _take_submitted(self) -> list[Submission]:
        """Wait for submissions and return them; an empty list means closing."""
        while not self._submitted and not self._closing:
            self._wake.clear()
            self._wake.wait()
        seconds = self._gathering.seconds
        if seconds and len(self._submitted) < ENOUGH and not self._closing:
            self._wake.clear()
            self._wake.wait(seconds)
        taken, self._submitted = self._submitted, []
        self._gathering.begin(len(taken))
        return taken

    def _deliver(self, batch: Batch) -> None:
        try:
            self._on_batch(batch)
        except Exception:  # a bug in delivery must not end the timeline
            _log.exception("delivering a batch failed")


def failed(submissions: Iterable[Submission]) -> Batch:
    """Return the batch of a turn that was not stored."""
    return Batch(failed=[each.number for each in submissions])


def size_of(post: Post | Change) -> int:
    """Return the size of a post, or of its change, on the wire in bytes, or a little more.

    Control characters take six in JSON, so only plain text is measured without encoding it.
    """
    text = post.text if isinstance(post, (Post, Edited)) else ""
    if text.isascii() and text.isprintable():
        return len(text) + _FRAME_BYTES
    return len(msgspec.json.encode(text)) + _FRAME_BYTES


def newest_page(posts: Sequence[Post]) -> list[Post]:
    """Return the newest of these posts that fit in a page, at least one."""
    size = 0
    for count, post in enumerate(reversed(posts)):
        size += size_of(post)
        if size > PAGE_BYTES and count:
            return list(posts[-count:])
    return list(posts)
