"""A timeline in a test's hand: what is said in one turn, and the batch that came of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import gevent
from gevent.event import Event

from geventchat.protocol.errors import ErrorCode
from geventchat.protocol.events import Post
from geventchat.server.timeline import Batch, Said, Timeline
from geventchat.server.timeline.memory import MemoryTimeline
from geventchat.server.timeline.sqlite import RING_BYTES, SqliteTimeline

Deliver: TypeAlias = Callable[[Batch], None]
Open: TypeAlias = Callable[[Deliver], Timeline]


class Somebody:
    """An author who is told nothing: the timeline hands on verdicts, the hub tells them."""

    rich = True

    def settled(self) -> None:
        raise AssertionError("only the hub tells authors")

    def repeated(self, said: Said, position: int) -> None:
        raise AssertionError("only the hub tells authors")

    def refused(self, said: Said, code: ErrorCode, text: str) -> None:
        raise AssertionError("only the hub tells authors")


def say(text: str, key: str | None = None, *, room: str = "lobby", client: bytes = b"c1") -> Said:
    return Said(Somebody(), room, "anna", text, client, key)


@dataclass
class Verdicts:
    """A batch, as far as one can compare it."""

    posts: list[tuple[str, int, str]] = field(default_factory=list)
    repeated: list[tuple[str, int]] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def verdicts(batch: Batch) -> Verdicts:
    return Verdicts(
        [(post.room, post.position, post.text) for post, _ in batch.posts],
        [(said.text, position) for said, position in batch.repeated],
        [said.text for said in batch.conflicts],
        [said.text for said in batch.failed],
    )


def count(batch: Batch) -> int:
    return len(batch.posts) + len(batch.repeated) + len(batch.conflicts) + len(batch.failed)


class Record:
    """A timeline that has started, and the batches it has delivered."""

    def __init__(self, open_timeline: Open) -> None:
        self._open = open_timeline
        self._came = Event()
        self.reopen()

    def reopen(self) -> None:
        """Open the same again, as a new server would."""
        self.batches: list[Batch] = []
        self.timeline = self._open(self._deliver)
        self.timeline.start()

    def turn(self, *said: Said) -> Batch:
        """Let this be said in one turn of the loop; give what became of it."""
        assert not self.timeline._said
        for each in said:
            self.timeline.append(each)
        return self.wait()

    def wait(self) -> Batch:
        """Wait for the next batch and take it."""
        with gevent.Timeout(5):
            while not self.batches:
                self._came.clear()
                self._came.wait()
        return self.batches.pop(0)

    def fill(self, texts: list[str], room: str = "lobby") -> None:
        self.turn(*[say(text, room=room) for text in texts])

    def everything(self, room: str = "lobby") -> list[Post]:
        """Read a room from its first post to its last, page by page."""
        posts: list[Post] = []
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
        for post, said in batch.posts:
            assert (post.room, post.author, post.text) == (said.room, said.author, said.text)
            assert post.key == said.key
        self.batches.append(batch)
        self._came.set()


def in_memory(posts_per_room: int = 10_000, total_bytes: int = 256 << 20) -> Open:
    return lambda deliver: MemoryTimeline(
        deliver, posts_per_room=posts_per_room, total_bytes=total_bytes
    )


def in_file(path: Path, ring_bytes: int = RING_BYTES) -> Open:
    return lambda deliver: SqliteTimeline(deliver, str(path), ring_bytes=ring_bytes)


def on_disk(path: Path) -> Open:
    """Open a file of which nothing is in memory: what is read comes from the disk."""
    return in_file(path, ring_bytes=0)
