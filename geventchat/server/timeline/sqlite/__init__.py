"""The timeline in a SQLite file: every post is on disk before anyone sees it.

Two native threads do all the work, so the disk never stops the hub: one stores, one reads pages for
those who catch up from further back than the ring in memory, so that a storm of them does not delay
commits. While one batch is being delivered the next is already being stored.
"""

import logging
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from typing import Final, TypeVar

import gevent
from gevent.event import AsyncResult
from gevent.threadpool import ThreadPool

from geventchat.config import Limits
from geventchat.protocol.errors import Refused
from geventchat.protocol.events import Post
from geventchat.server.timeline import Batch, Submission, Timeline, failed
from geventchat.server.timeline.recent import RecentPosts
from geventchat.server.timeline.sqlite.integrity import look
from geventchat.server.timeline.sqlite.lock import lock, unusable
from geventchat.server.timeline.sqlite.reader import Damaged, Reader
from geventchat.server.timeline.sqlite.retention import RetentionPolicy, StoredRoom
from geventchat.server.timeline.sqlite.schema import connect
from geventchat.server.timeline.sqlite.store import Store

RECENT_BYTES: Final = 16 << 20
"""What the newest posts may take in memory: some 30,000 short ones."""
_BREATH_SECONDS: Final = 0.02
_PAUSE_SECONDS: Final = 1.0
_DISK_SECONDS: Final = 30
"""How long somebody waits for a page or a room."""
_LAST_SECONDS: Final = 0.1
"""What closing waits at least for a thread that is about to be done."""

_UNKNOWN: Final = StoredRoom(0)
"""A room that nobody has open: whoever still reads there is ending."""

_T = TypeVar("_T")

_log = logging.getLogger(__name__)


class SqliteTimeline(Timeline):
    """Keeps everything in the file at `path`, which one server at a time may use.

    Raises BadSetting if the file cannot be used; it is then untouched.
    """

    def __init__(
        self,
        deliver: Callable[[Batch], None],
        path: str,
        limits: Limits | None = None,
        *,
        recent_bytes: int = RECENT_BYTES,
    ) -> None:
        """`limits`: what is kept of the history; all of it, unless told."""
        super().__init__(deliver)
        self._recent = RecentPosts(recent_bytes)
        self._path = path
        self._lock = lock(path)
        try:
            self._store = Store(path)
            try:
                self._reader = Reader(path)
            except BaseException:
                self._store.close()
                raise
        except sqlite3.Error as error:
            os.unlink(self._lock.name)
            self._lock.close()
            raise unusable(path, str(error)) from None
        self.configure(limits or Limits())
        self.epoch = self._store.epoch
        if self._store.renewed:
            _log.warning(
                "%s is older than the last known state (restored backup?);"
                " new epoch, clients will be told there is a gap",
                path,
            )
        self._users: Counter[str] = Counter()
        """How often each open room is held open."""
        self._looking: gevent.Greenlet[[], None] | None = None
        self._tending: gevent.Greenlet[[], None] | None = None
        self._complaint = repr(None)
        self._guard_complaint: str | None = None
        self._known_damage: set[tuple[str, int]] = set()
        self._writer_thread = ThreadPool(1)
        self._reader_thread = ThreadPool(1)

    def configure(self, limits: Limits) -> None:
        self._store.retention.keep = RetentionPolicy.of(limits)

    @property
    def failing(self) -> bool:
        return self._store.db is None

    @property
    def guard_failing(self) -> bool:
        return self._store.guard.trouble is not None

    def open(self, room: str) -> None:
        self._users[room] += 1
        if room not in self._store.rooms:
            try:
                self._in(self._writer_thread, self._store.open, room)
            except BaseException:
                gevent.spawn(self._release_behind_thread, room)
                raise

    def hold(self, room: str) -> None:
        self._users[room] += 1

    def release(self, room: str) -> None:
        self._users[room] -= 1
        if not self._users[room]:
            del self._users[room]
            self._store.rooms.pop(room, None)

    def _release_behind_thread(self, room: str) -> None:
        """Release a room whose opener did not wait: the thread may have yet to put it in."""
        self._writer_thread.apply(int)  # does nothing, behind what is under way
        self.release(room)

    def position(self, room: str) -> int:
        return self._store.rooms.get(room, _UNKNOWN).top

    def oldest(self, room: str) -> int:
        return self._store.rooms.get(room, _UNKNOWN).oldest

    def topic(self, room: str) -> str:
        return self._store.rooms.get(room, _UNKNOWN).topic

    def since(self, room: str, after: int, upto: int) -> list[Post]:
        stored = self._store.rooms.get(room, _UNKNOWN)
        after = max(after, stored.oldest - 1)
        page = self._recent.since(room, after, upto)
        if page is None:
            page = self._in(self._reader_thread, self._reader.since, room, stored, after, upto)
        return page

    def before(self, room: str, end: int, limit: int) -> list[Post]:
        stored = self._store.rooms.get(room, _UNKNOWN)
        end = min(end, stored.top + 1)
        page = self._recent.before(room, max(end - limit, stored.oldest), end)
        if page is None:
            page = self._in(self._reader_thread, self._reader.before, room, stored, end, limit)[
                ::-1
            ]
        return page

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
        end = time.monotonic() + seconds
        stored = super().close(seconds)
        gevent.killall([each for each in (self._tending, self._looking) if each is not None])
        # A thread may hang with the disk; then the process ends without it.
        if not (_idle(self._writer_thread, end) and _idle(self._reader_thread, end)):
            return False
        for pool in (self._writer_thread, self._reader_thread):
            pool.kill()
        self._reader.close()
        self._store.close()
        self._lock.close()
        return stored

    def _take_turns(self) -> None:
        stored: Batch | None = None
        while True:
            # Nothing to deliver: wait. Else only look whether there is more to store meanwhile.
            taken = self._taken() if stored is None or self._submitted else []
            began = time.perf_counter()
            storing = (
                self._writer_thread.spawn(_outcome, self._store.store, taken) if taken else None
            )
            if stored is not None:
                self._deliver(stored)
            stored = None
            if storing is not None:
                stored = self._stored(storing.get(), taken)
                self.store_times.observe(time.perf_counter() - began)
            if stored is None and self._closing and not self._submitted:
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
        """Once a second: look after the file, and delete the oldest, with a breath each step."""
        while True:
            outcome: bool | Exception | None = self._writer_thread.apply(
                _outcome, (self._store.tend,)
            )
            if outcome is None and self._store.retention.keep:
                outcome = self._writer_thread.apply(_outcome, (self._store.trim,))
            if isinstance(outcome, Exception) and repr(outcome) != self._complaint:
                _log.error("%s: maintenance failed: %s", self._path, outcome)
            self._complaint = repr(outcome)  # a disk may be full for days
            self._look_at_guard()
            gevent.sleep(_BREATH_SECONDS if outcome is True else _PAUSE_SECONDS)

    def _look_at_guard(self) -> None:
        """Log once that the guard cannot be written, and once that it can be again."""
        trouble, former = self._store.guard.trouble, self._guard_complaint
        if trouble != former:
            self._guard_complaint = trouble
            if trouble is not None:
                text = "a restored older copy will not be noticed: cannot write %s"
                _log.error(text, trouble)
            else:
                _log.info("a restored older copy will be noticed again")

    def _stored(self, outcome: Batch | Exception | None, taken: list[Submission]) -> Batch:
        """Return what became of a turn. What is in a batch is on disk, whatever else fails."""
        if isinstance(outcome, Batch):
            posts = [entry for entry, _ in outcome.entries if isinstance(entry, Post)]
            self.posts_stored += len(posts)
            try:
                for post in posts:
                    self._recent.add(post)
            except Exception:  # a bug; the disk has it all
                _log.exception("keeping posts in memory failed")
                self._recent.clear()
            return outcome
        if isinstance(outcome, sqlite3.Error):
            _log.error("storing %d messages in %s failed: %s", len(taken), self._path, outcome)
        else:
            _log.error("storing %d messages failed", len(taken), exc_info=outcome)
        return failed(taken)

    def _in(self, pool: ThreadPool, function: Callable[..., _T], *arguments: object) -> _T:
        """Run a function in a native thread and wait for it. Raises Refused `storage`."""
        try:
            with gevent.Timeout(_DISK_SECONDS, TimeoutError):
                running: AsyncResult[_T | Exception]
                running = pool.spawn(_outcome, function, *arguments)
                outcome: _T | Exception = running.get()  # type: ignore[assignment]
        except TimeoutError:  # the thread hangs with the disk
            _log.error("database error: no answer within %d s", _DISK_SECONDS)
            raise Refused("storage", "The server could not read or write its database.") from None
        if isinstance(outcome, Damaged):
            if outcome.place not in self._known_damage:  # once: everybody who joins asks for it
                self._known_damage.add(outcome.place)
                _log.error("%s: %s; see `geventchat history check`", self._path, outcome)
            raise Refused("storage", "Some messages in this room are corrupted.")
        if isinstance(outcome, sqlite3.Error):
            _log.error("database error: %s", outcome)
            raise Refused("storage", "The server could not read or write its database.")
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def _idle(pool: ThreadPool, end: float) -> bool:
    """Wait until a pool has no task, up to a monotonic time; return whether it has none."""
    try:
        with gevent.Timeout(max(end - time.monotonic(), _LAST_SECONDS), TimeoutError):
            pool.join()
    except TimeoutError:
        return False
    return True


def _outcome(function: Callable[..., _T], *arguments: object) -> _T | Exception:
    """Give what a function gives, or what it raises.

    In a native thread nothing is logged: logging's locks are the hub's. The pool would print it.
    """
    try:
        return function(*arguments)
    except Exception as error:
        return error
