"""A timeline on an engine, all that it delivers, and what became of each submission."""

import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gevent

from geventchat.protocol.events import Post
from geventchat.server.timeline import Batch, Entry, Submission
from geventchat.server.timeline.redis import RedisTimeline
from tests.cores import Cores
from tests.engines import RunningEngine
from tests.server.record import say

SECONDS = 20.0


class Watched:
    """Checks what must always hold: one verdict for each, dense positions, the authors' order."""

    def __init__(self, url: str, rooms: tuple[str, ...] = ("lobby",)) -> None:
        self.epochs = 0
        self.said: dict[int, Submission] = {}
        self.verdicts: dict[int, str] = {}
        self.entries: list[Entry] = []
        """Of this epoch."""
        self.tops: dict[str, int] = defaultdict(int)
        self.timeline = RedisTimeline(self._deliver, url)
        self.timeline.epoch_changed = self._epoch_changed
        self.timeline.start()
        for room in rooms:
            self.timeline.open(room)
            self.tops[room] = self.timeline.position(room)

    @property
    def texts(self) -> list[str]:
        """All posts of this epoch that were delivered."""
        return [entry.text for entry in self.entries if isinstance(entry, Post)]

    def submit(self, *submissions: Submission) -> None:
        for each in submissions:
            self.said[each.number] = each
            self.timeline.append(each)

    def wait(self, seconds: float = SECONDS) -> None:
        """Wait until everything has its verdict."""
        until(lambda: len(self.verdicts) == len(self.said), seconds)

    def talk(self, *submissions: Submission) -> list[str]:
        """Submit, wait, and return the verdicts."""
        self.submit(*submissions)
        self.wait()
        return [self.verdicts[each.number] for each in submissions]

    def verdicts_of(self, *kinds: str) -> list[str]:
        """Return the texts of the submissions with these verdicts, in their order."""
        return [each.text for each in self.said.values() if self.verdicts[each.number] in kinds]

    @contextmanager
    def talking(self, keyed: bool = True) -> Iterator[None]:
        """Submit a few messages every millisecond meanwhile."""
        talker = gevent.spawn(self._talk, keyed)
        try:
            yield
        finally:
            talker.kill()

    def _talk(self, keyed: bool) -> None:
        while True:
            for _ in range(3):
                text = f"text {len(self.said)}"
                self.submit(say(text, text if keyed else None))
            gevent.sleep(0.001)

    def _deliver(self, batch: Batch) -> None:
        for entry, number in batch.entries:
            if isinstance(entry, Post):
                if entry.room in self.tops:
                    assert entry.position == self.tops[entry.room] + 1
                self.tops[entry.room] = entry.position
            self.entries.append(entry)
            if number:
                self._judge(number, "stored")
        for number, _ in (*batch.repeated, *batch.unchanged, *batch.refused):
            self._judge(number, "answered")
        for kind in ("failed", "unknown"):
            for number in getattr(batch, kind):
                self._judge(number, kind)

    def _judge(self, number: int, verdict: str) -> None:
        assert number not in self.verdicts
        self.verdicts[number] = verdict

    def _epoch_changed(self) -> None:
        self.epochs += 1
        self.entries.clear()
        self.tops.clear()
        self.tops["lobby"] = self.timeline.position("lobby")

    def pause(self) -> None:
        """Stop, as a process that gets SIGSTOP; it does not go on."""
        gevent.killall(self.timeline.greenlets)

    def die(self) -> None:
        """End, as a process that is killed."""
        self.pause()
        self.timeline.nodes.close()
        timeline = self.timeline
        for each in (timeline._writer, timeline._others, timeline._beats, timeline._feed):
            each.close()
        timeline._reads.close()

    def close(self) -> None:
        self.timeline.close(5)


def until(holds: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it does not come about"
        gevent.sleep(0.002)


@contextmanager
def prompt(most: float = 0.5) -> Iterator[None]:
    """Check that the hub is never blocked meanwhile, but by other programs."""
    latest = [0.0]

    def beat() -> None:
        while True:
            due, before = time.perf_counter() + 0.005, Cores.now()
            gevent.sleep(0.005)
            late = time.perf_counter() - due
            latest[0] = max(latest[0], late - Cores.now().lost_since(before))

    beating = gevent.spawn(beat)
    try:
        yield
    finally:
        beating.kill()
    assert latest[0] < most


def all_posts(watched: Watched) -> list[Post]:
    """Return what is stored in the lobby."""
    timeline, read = watched.timeline, list[Post]()
    while len(read) < timeline.position("lobby"):
        read += timeline._pages.reader.since("lobby", len(read), timeline.position("lobby"))
    return read


def hear_the_same(*nodes: Watched) -> None:
    """Wait until all nodes have delivered the same posts, with their verdicts."""
    for node in nodes:
        node.wait(20)
    until(lambda: len({tuple(node.texts) for node in nodes}) == 1)
    assert len({node.timeline.epoch for node in nodes}) == 1
    stored = [post.text for post in all_posts(nodes[0])]
    assert stored[len(stored) - len(nodes[0].texts) :] == nodes[0].texts


def restart(engine: RunningEngine, *options: str) -> None:
    """Kill an engine and start it again, while this process goes on."""
    engine.restart(*options, sleep=gevent.sleep)


@contextmanager
def older(engine: RunningEngine) -> Iterator[None]:
    """Put an engine back to where it was."""
    engine.kill()
    copy = engine.folder / "copy"
    shutil.copytree(engine.folder / "appendonlydir", copy)
    engine.start()
    yield
    engine.kill()
    shutil.rmtree(engine.folder / "appendonlydir")
    copy.rename(engine.folder / "appendonlydir")
    engine.start()
