"""The timeline in a SQLite file: every post is on disk before anyone sees it.

Two native threads do all the work, so the disk never stops the hub: one stores, one reads pages for
those who catch up from further back than the ring in memory, so that a storm of them does not delay
commits. While one batch is being delivered the next is already being stored.
"""

import logging
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from typing import Final, TypeVar

import gevent
from gevent.threadpool import ThreadPool

from geventchat.protocol.errors import Refused
from geventchat.protocol.events import Post
from geventchat.server.timeline import Batch, Said, Timeline
from geventchat.server.timeline.ring import Ring
from geventchat.server.timeline.sqlite.lock import lock, unusable
from geventchat.server.timeline.sqlite.look import look
from geventchat.server.timeline.sqlite.pages import Damaged, Pages
from geventchat.server.timeline.sqlite.retention import Keep
from geventchat.server.timeline.sqlite.schema import connect
from geventchat.server.timeline.sqlite.store import Store

RING_BYTES: Final = 16 << 20
"""What the newest posts may take in memory: some 30,000 short ones."""
_BREATH_SECONDS: Final = 0.02
_PAUSE_SECONDS: Final = 1.0

_T = TypeVar("_T")

_log = logging.getLogger(__name__)


class SqliteTimeline(Timeline):
    """Keeps everything in the file at `path`, which one server at a time may use.

    Raises BadOption if the file cannot be used; it is then untouched.
    """

    def __init__(
        self,
        deliver: Callable[[Batch], None],
        path: str,
        keep: Keep | None = None,
        *,
        ring_bytes: int = RING_BYTES,
    ) -> None:
        """`keep`: what is kept of the history; all of it, unless told."""
        super().__init__(deliver)
        self.keep = keep or Keep()
        self._ring = Ring(ring_bytes)
        self._path = path
        self._lock = lock(path)
        try:
            self._store = Store(path)
            try:
                self._pages = Pages(path, self._store.rooms, self._store.tops, self._store.oldest)
            except BaseException:
                self._store.close()
                raise
        except sqlite3.Error as error:
            os.unlink(self._lock.name)
            self._lock.close()
            raise unusable(path, str(error)) from None
        self.epoch = self._store.epoch
        if self._store.renewed:
            _log.warning(
                "%s is older than what was here before: clients will be told what they missed", path
            )
        self._looking: gevent.Greenlet[[], None] | None = None
        self._tending: gevent.Greenlet[[], None] | None = None
        self._complaint = repr(None)
        self._known_damage: set[tuple[str, int]] = set()
        self._writer = ThreadPool(1)
        self._reader = ThreadPool(1)

    @property
    def failing(self) -> bool:
        return self._store.db is None

    def position(self, room: str) -> int:
        return self._store.tops.get(room, 0)

    def oldest(self, room: str) -> int:
        return self._store.oldest.get(room, 1)

    def topic(self, room: str) -> str:
        return self._store.topics.get(room, "")

    def since(self, room: str, after: int, upto: int) -> list[Post]:
        after = max(after, self.oldest(room) - 1)
        page = self._ring.since(room, after, upto)
        if page is None:
            page = self._in(self._reader, self._pages.since, room, after, upto)
        return page

    def before(self, room: str, end: int, limit: int) -> list[Post]:
        end = min(end, self.position(room) + 1)
        page = self._ring.before(room, max(end - limit, self.oldest(room)), end)
        if page is None:
            page = self._in(self._reader, self._pages.before, room, end, limit)[::-1]
        return page

    def set_topic(self, room: str, topic: str) -> None:
        self._in(self._writer, self._store.set_topic, room, topic)

    def start(self) -> None:
        super().start()
        self._tending = gevent.spawn(self._tend)
        self._tending.name = "tending"
        if not self._store.looked_at:
            self._looking = gevent.spawn(self._look)
            self._looking.name = "looking"

    @property
    def greenlets(self) -> list["gevent.Greenlet[..., None]"]:
        tending = [self._tending] if self._tending is not None else []
        return [*super().greenlets, *tending]

    def close(self, seconds: float) -> bool:
        stored = super().close(seconds)
        for greenlet in (self._tending, self._looking):
            if greenlet is not None:
                greenlet.kill()
        if not stored:  # a thread may hang with the disk; the process ends without it
            return False
        for pool in (self._writer, self._reader):
            pool.join()
            pool.kill()
        self._pages.close()
        self._store.close()
        self._lock.close()
        return True

    def _take_turns(self) -> None:
        stored: Batch | None = None
        while True:
            # Nothing to deliver: wait. Else only look whether there is more to store meanwhile.
            said = self._taken() if stored is None or self._said else []
            began = time.perf_counter()
            storing = self._writer.spawn(_outcome, self._store.store, said) if said else None
            if stored is not None:
                self._deliver(stored)
            stored = None
            if storing is not None:
                stored = self._verdicts(storing.get(), said)
                self.store_times.note(time.perf_counter() - began)
            if stored is None and self._closing and not self._said:
                return

    def _look(self) -> None:
        """Look at a large file to its end, which there was no time for at the start."""
        with closing(connect(self._path, readonly=True)) as db:
            try:
                found = look(db)
            except sqlite3.Error as error:
                found = str(error)
        if found:
            _log.error("%s is damaged (%s); see docs/operations.md", self._path, found)

    def _tend(self) -> None:
        """Once a second: look after the file, and let go of the oldest, with a breath each step."""
        while True:
            outcome: bool | Exception | None = self._writer.apply(_outcome, (self._store.tend,))
            if outcome is None and self.keep:
                outcome = self._writer.apply(_outcome, (self._store.trim, self.keep))
            if isinstance(outcome, Exception) and repr(outcome) != self._complaint:
                _log.error("%s cannot be looked after: %s", self._path, outcome)
            self._complaint = repr(outcome)  # a disk may be full for days
            gevent.sleep(_BREATH_SECONDS if outcome is True else _PAUSE_SECONDS)

    def _verdicts(self, outcome: Batch | Exception | None, said: list[Said]) -> Batch:
        if isinstance(outcome, Batch):
            self.posts_stored += len(outcome.posts)
            for post, _ in outcome.posts:
                self._ring.add(post)
            return outcome
        if isinstance(outcome, sqlite3.Error):
            _log.error("storing %d messages in %s failed: %s", len(said), self._path, outcome)
        else:
            _log.error("storing %d messages failed", len(said), exc_info=outcome)
        return Batch(failed=said)

    def _in(self, pool: ThreadPool, function: Callable[..., _T], *arguments: object) -> _T:
        """Run a function in a native thread and wait for it. Raises Refused `storage`."""
        outcome = pool.apply(_outcome, (function, *arguments))
        if isinstance(outcome, Damaged):
            if outcome.place not in self._known_damage:  # once: everybody who joins asks for it
                self._known_damage.add(outcome.place)
                _log.error("%s: %s; see `geventchat history check`", self._path, outcome)
            raise Refused("storage", "Part of what was said there is damaged.")
        if isinstance(outcome, sqlite3.Error):
            _log.error("the record could not be read or written: %s", outcome)
            raise Refused("storage", "The server could not read or write its record.")
        if isinstance(outcome, Exception):
            raise outcome
        result: _T = outcome
        return result


def _outcome(function: Callable[..., _T], *arguments: object) -> _T | Exception:
    """Give what a function gives, or what it raises.

    In a native thread nothing is logged: logging's locks are the hub's. The pool would print it.
    """
    try:
        return function(*arguments)
    except Exception as error:
        return error
