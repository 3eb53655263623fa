"""A timeline under test: submissions of one turn, and the batch they result in."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

import gevent
from gevent.event import Event

from geventchat.config import Limits
from geventchat.protocol.events import Edited, Post, Redacted
from geventchat.server.timeline import Batch, Change, Submission, Timeline
from geventchat.server.timeline.memory import MemoryTimeline
from geventchat.server.timeline.redis import RedisTimeline
from geventchat.server.timeline.sqlite import RECENT_BYTES, SqliteTimeline

Deliver: TypeAlias = Callable[[Batch], None]
Open: TypeAlias = Callable[[Deliver], Timeline]


_numbers = count(1)
_submitted: dict[int, Submission] = {}


def say(
    text: str, key: str | None = None, *, room: str = "lobby", client: bytes = b"c1"
) -> Submission:
    return _remembered(Submission(next(_numbers), room, "anna", text, client, key))


def set_topic(topic: str, *, room: str = "lobby") -> Submission:
    return _remembered(Submission(next(_numbers), room, "anna", topic, kind="topic"))


def edit(
    position: int, text: str, *, room: str = "lobby", client: bytes = b"c1", **more: Any
) -> Submission:
    number = next(_numbers)
    return _remembered(
        Submission(number, room, "anna", text, client, kind="edit", position=position, **more)
    )


def redact(position: int, *, room: str = "lobby", client: bytes = b"c1", **more: Any) -> Submission:
    number = next(_numbers)
    return _remembered(
        Submission(number, room, "anna", "", client, kind="redact", position=position, **more)
    )


def _remembered(submission: Submission) -> Submission:
    _submitted[submission.number] = submission
    return submission


@dataclass
class Verdicts:
    """The comparable part of a batch."""

    posts: list[tuple[str, int, str]] = field(default_factory=list)
    repeated: list[tuple[str, int]] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    unchanged: list[int] = field(default_factory=list)
    """The positions of posts that were changed already."""
    refused: list[tuple[int, str]] = field(default_factory=list)
    """Positions, and the codes of errors."""


def posts_of(batch: Batch) -> list[Post]:
    """Return the posts of a batch."""
    return [entry for entry, _ in batch.entries if isinstance(entry, Post)]


def verdicts(batch: Batch) -> Verdicts:
    return Verdicts(
        [(post.room, post.position, post.text) for post in posts_of(batch)],
        [(_submitted[number].text, position) for number, position in batch.repeated],
        [_submitted[number].text for number in batch.conflicts],
        [_submitted[number].text for number in batch.failed],
        [_submitted[number].text for number in batch.unknown],
        [entry for entry, _ in batch.entries if isinstance(entry, Edited | Redacted)],
        [change.position for _, change in batch.unchanged],
        [(_submitted[number].position, why.code) for number, why in batch.refused],
    )


def count_of(batch: Batch) -> int:
    changes = len(batch.unchanged) + len(batch.refused)
    says = len(batch.repeated) + len(batch.conflicts)
    return len(batch.entries) + says + changes + len(batch.failed) + len(batch.unknown)


def joined(*batches: Batch) -> Batch:
    """Return batches as one."""
    whole = Batch()
    for batch in batches:
        for part in fields(Batch):
            getattr(whole, part.name).extend(getattr(batch, part.name))
    return whole


class Record:
    """A started timeline and the batches it has delivered."""

    def __init__(self, open_timeline: Open) -> None:
        self._open = open_timeline
        self._came = Event()
        self._rooms = {"lobby"}
        self.reopen()

    def reopen(self) -> None:
        """Open the same timeline again, as a new server would."""
        self.batches: list[Batch] = []
        self.timeline = self._open(self._deliver)
        self.timeline.start()
        for room in self._rooms:
            self.timeline.open(room)

    def turn(self, *submissions: Submission) -> Batch:
        """Submit these in one round of the loop; return their batch, or those of them as one.

        Their rooms are open from then on, also after each `reopen`.
        """
        self.open(*(each.room for each in submissions))
        assert not self.timeline._submitted
        for each in submissions:
            self.timeline.append(each)
        batch = self.wait()
        while count_of(batch) < len(submissions):
            batch = joined(batch, self.wait())
        return batch

    def open(self, *rooms: str) -> None:
        """Open rooms, also after each `reopen`."""
        for room in rooms:
            if room not in self._rooms:
                self._rooms.add(room)
                self.timeline.open(room)

    def wait(self) -> Batch:
        """Wait for the next batch and return it."""
        with gevent.Timeout(20):
            while not self.batches:
                self._came.clear()
                self._came.wait()
        return self.batches.pop(0)

    def fill(self, texts: list[str], room: str = "lobby") -> None:
        self.turn(*[say(text, room=room) for text in texts])

    def everything(self, room: str = "lobby") -> list[Post]:
        """Read a room from its first post to its last, page by page."""
        posts: list[Post] = []
        self.open(room)
        top = self.timeline.position(room)
        after = self.timeline.oldest(room) - 1
        while after < top:
            page = self.timeline.since(room, after, top)
            assert [post.position for post in page] == list(range(after + 1, after + 1 + len(page)))
            assert page
            posts += page
            after = page[-1].position
        return posts

    def close(self) -> None:
        self.timeline.close(10)

    def _deliver(self, batch: Batch) -> None:
        for entry, number in batch.entries:
            if not number:  # of another node
                continue
            submission = _submitted[number]
            assert entry.room == submission.room
            if isinstance(entry, Edited | Redacted):
                assert (entry.by, entry.position) == (submission.author, submission.position)
            elif isinstance(entry, Post):
                assert (entry.author, entry.text) == (submission.author, submission.text)
                assert entry.key == submission.key
            else:
                assert (entry.by, entry.topic) == (submission.author, submission.text)
        self.batches.append(batch)
        self._came.set()


def settle(timeline: Timeline) -> None:
    """Wait until the thread that writes to a file is idle, as it is until something switches.

    Then the caller may use the store itself: two threads on one connection can crash the process.
    """
    assert isinstance(timeline, SqliteTimeline)
    while timeline._writer_thread._waiting:
        timeline._writer_thread.run(int)


def in_memory(posts_per_room: int = 10_000, total_bytes: int = 256 << 20) -> Open:
    return lambda deliver: MemoryTimeline(
        deliver, posts_per_room=posts_per_room, total_bytes=total_bytes
    )


def in_file(path: Path, recent_bytes: int = RECENT_BYTES) -> Open:
    return lambda deliver: SqliteTimeline(deliver, str(path), recent_bytes=recent_bytes)


def on_engine(url: str, recent_bytes: int = RECENT_BYTES, limits: Limits | None = None) -> Open:
    return lambda deliver: RedisTimeline(deliver, url, limits, recent_bytes=recent_bytes)


def on_disk(path: Path) -> Open:
    """Open a file without a cache: all reads come from the disk."""
    return in_file(path, recent_bytes=0)
