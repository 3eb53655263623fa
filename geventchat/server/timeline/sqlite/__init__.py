"""The timeline in a SQLite file: every post is on disk before anyone sees it.

Native threads do all disk work, so the disk never blocks the hub: one stores, one reads pages for
clients that resume from further back than the cache, so that many of them do not delay commits.
Others check the file after a start, and search it for what was redacted.
"""

import logging
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Final, TypeVar

import gevent

from geventchat.config import Limits
from geventchat.protocol.errors import Refused
from geventchat.protocol.events import Edited, ListedRoom, Post, Redacted
from geventchat.server.slices import pause
from geventchat.server.timeline import (
    Batch,
    Change,
    RecordChange,
    Submission,
    Timeline,
    failed,
)
from geventchat.server.timeline.changes import latest
from geventchat.server.timeline.meanwhile import Meanwhile
from geventchat.server.timeline.recent import RecentPosts
from geventchat.server.timeline.retention_policy import RetentionPolicy
from geventchat.server.timeline.sqlite.claim import Claim
from geventchat.server.timeline.sqlite.cleaning import Cleaning
from geventchat.server.timeline.sqlite.integrity import check
from geventchat.server.timeline.sqlite.native import NativeThread
from geventchat.server.timeline.sqlite.reader import Damaged, Reader
from geventchat.server.timeline.sqlite.retention import StoredRoom
from geventchat.server.timeline.sqlite.schema import connect
from geventchat.server.timeline.sqlite.state_log import StateLog
from geventchat.server.timeline.sqlite.store import Store

RECENT_BYTES: Final = 16 << 20
"""Size of the cache of the newest posts: some 30,000 short ones."""
_STEP_SECONDS: Final = 0.02
"""Pause between two steps of trimming."""
_MAINTENANCE_SECONDS: Final = 1.0
_DISK_SECONDS: Final = 30
"""Timeout for loading a page or a room."""

_UNKNOWN: Final = StoredRoom(0)
"""Stands for a room that is not open; a session that still reads there is ending."""

_T = TypeVar("_T")

_log = logging.getLogger(__name__)


class SqliteTimeline(Timeline):
    """Stores everything in the file at `path`, which one server at a time may use.

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
        """Open the file; without `limits`, all history is retained."""
        super().__init__(deliver)
        self._recent = RecentPosts(recent_bytes)
        self._path = path
        self._claim = Claim(path)
        try:
            self._store = Store(path)
            try:
                self._reader = Reader(path)
            except BaseException:
                self._store.close()
                raise
        except (sqlite3.Error, OSError) as error:
            raise self._claim.abandon(error) from None
        self.configure(limits or Limits())
        self.epoch = self._store.epoch
        if self._store.renewed:
            _log.warning(
                "%s is older than the last known state (restored backup?);"
                " new epoch, clients will be told there is a gap",
                path,
            )
        self._users: Counter[str] = Counter()
        """Number of holders of each open room."""
        self._meanwhile = Meanwhile()
        self._check: gevent.Greenlet[[], None] | None = None
        self._maintenance: gevent.Greenlet[[], None] | None = None
        self._logged_outcome = repr(None)
        self._state_log = StateLog(self._store, path)
        self._known_damage: set[tuple[str, int]] = set()
        self._writer_thread = NativeThread()
        self._reader_thread = NativeThread()
        threads = self._writer_thread, self._reader_thread
        self._cleaning = Cleaning(self._store, self._reader, *threads)

    def configure(self, limits: Limits) -> None:
        self._store.retention.policy = RetentionPolicy.of(limits)
        self._store.probe_bytes = limits.frame_bytes

    @property
    def failing(self) -> bool:
        return self._store.failing

    @property
    def guard_failing(self) -> bool:
        return self._store.guard.error is not None

    def open(self, room: str) -> None:
        self._users[room] += 1
        if room not in self._store.rooms:
            try:
                self._run_in(self._writer_thread, self._store.open, room)
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
        self._writer_thread.run(int)  # does nothing, behind what is under way
        self.release(room)

    def position(self, room: str) -> int:
        return self._store.rooms.get(room, _UNKNOWN).top

    def oldest(self, room: str) -> int:
        return self._store.rooms.get(room, _UNKNOWN).oldest

    def topic(self, room: str) -> str:
        return self._store.rooms.get(room, _UNKNOWN).topic

    def change(self, room: str) -> int:
        return self._store.rooms.get(room, _UNKNOWN).change

    def missed(self, room: str, position: int, change: int | None) -> int | None:
        stored = self._store.rooms.get(room, _UNKNOWN)
        if change is None and not stored.change:
            change = 0
        if change is not None and change >= stored.change:
            return change
        return self._run_in(self._reader_thread, self._reader.missed, stored, position, change)

    def changes(self, room: str, after: int, position: int) -> tuple[list[Change], int]:
        stored = self._store.rooms.get(room, _UNKNOWN)
        with self._meanwhile.reading(room) as meanwhile:
            page, upto = self._run_in(
                self._reader_thread, self._reader.changes, room, stored, after, position
            )
        return latest(page, meanwhile), upto  # one that is superseded is for the next page

    def since(self, room: str, after: int, upto: int) -> list[Post]:
        stored = self._store.rooms.get(room, _UNKNOWN)
        after = max(after, stored.oldest - 1)
        page = self._recent.since(room, after, upto)
        if page is None:
            page = self._read(room, self._reader.since, stored, after, upto)
        return page

    def before(self, room: str, end: int, limit: int) -> list[Post]:
        stored = self._store.rooms.get(room, _UNKNOWN)
        end = min(end, stored.top + 1)
        page = self._recent.before(room, max(end - limit, stored.oldest), end)
        if page is None:
            page = self._read(room, self._reader.before, stored, end, limit)[::-1]
        return page

    def _read(
        self, room: str, read: Callable[..., list[Post]], stored: StoredRoom, *limits: int
    ) -> list[Post]:
        """Read a page from the disk; a post that is changed meanwhile is as it is then."""
        return self._meanwhile.posts(
            room, lambda: self._run_in(self._reader_thread, read, room, stored, *limits)
        )

    def at(self, room: str, positions: Sequence[int]) -> list[Post]:
        stored = self._store.rooms.get(room, _UNKNOWN)
        return self._run_in(self._reader_thread, self._reader.at, room, stored, positions)

    def with_topic(self, prefix: str, after: str, limit: int) -> list[ListedRoom]:
        return self._run_in(self._reader_thread, self._reader.with_topic, prefix, after, limit)

    def newest_posts(self, prefix: str) -> list[tuple[str, int, int]]:
        return self._store.newest_posts(prefix)

    def records(self, kind: str) -> list[tuple[str, bytes]]:
        return self._store.records(kind)

    def keep(self, changes: Sequence[RecordChange]) -> None:
        self._run_in(self._writer_thread, self._store.keep, changes)

    def start(self) -> None:
        super().start()
        self._maintenance = gevent.spawn(self._maintain)
        self._maintenance.name = "maintenance"
        if not self._store.fully_checked:
            self._check = gevent.spawn(self._check_file)
            self._check.name = "check"

    @property
    def greenlets(self) -> list["gevent.Greenlet[..., None]"]:
        maintenance = [self._maintenance] if self._maintenance is not None else []
        return [*super().greenlets, *maintenance]

    def close(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        self._cleaning.cancel()
        stored = super().close(seconds)
        gevent.killall([each for each in (self._maintenance, self._check) if each is not None])
        # A thread may hang with the disk; then the process ends without it.
        threads = self._writer_thread, self._reader_thread, self._cleaning.thread
        if not all(thread.close(end) for thread in threads):
            return False
        self._state_log.note_trimmed(ended=True, at_once=True)
        self._reader.close()
        self._store.close()
        self._claim.release()
        return stored

    def _take_turns(self) -> None:
        while taken := self._take_submitted():
            began = time.perf_counter()
            outcome = self._writer_thread.run(self._store.store, taken)
            batch = self._finish_turn(outcome, taken)
            self.store_times.observe(time.perf_counter() - began)
            self._deliver(batch)
            pause()  # what is readable now is stored together

    def _check_file(self) -> None:
        """Complete the check of a file that was too large to check at the start."""
        with closing(connect(self._path, readonly=True)) as db:
            try:
                found = check(db)
            except sqlite3.Error as error:
                found = str(error)
        if found:
            _log.error("%s is damaged (%s); see docs/operations.md", self._path, found)

    def _maintain(self) -> None:
        """Maintain the file once a second, and trim it in steps with pauses in between."""
        while True:
            outcome: bool | Exception | None = self._writer_thread.run(self._store.maintain)
            if outcome is None and self._store.retention.policy:
                outcome = self._writer_thread.run(self._store.trim)
            if not isinstance(outcome, Exception):
                outcome = self._cleaning.step() or outcome
            if self._store.failing and not outcome:
                outcome = self._writer_thread.run(self._store.probe)
            if isinstance(outcome, Exception) and repr(outcome) != self._logged_outcome:
                _log.error("%s: maintenance failed: %s", self._path, outcome)
            self._logged_outcome = repr(outcome)  # once: a disk may be full for days
            self.posts_trimmed = self._store.trimmed
            self.file_bytes = self._store.space.database_bytes, self._store.space.wal_bytes
            self._state_log.note()
            self._state_log.note_trimmed(ended=outcome is not True)
            gevent.sleep(_STEP_SECONDS if outcome is True else _MAINTENANCE_SECONDS)

    def _finish_turn(self, outcome: Batch | Exception | None, taken: list[Submission]) -> Batch:
        """Return the batch of a turn; if it was stored, whatever else fails here."""
        if isinstance(outcome, Batch):
            try:
                for entry, _ in outcome.entries:
                    if isinstance(entry, Post):
                        self.posts_stored += 1
                        self._recent.add(entry)
                    elif isinstance(entry, Edited | Redacted):
                        self._recent.change(entry)
                        self._meanwhile.hear(entry)
            except Exception:  # a bug; everything is on disk
                _log.exception("caching posts failed")
                self._recent.clear()
            return outcome
        if isinstance(outcome, sqlite3.Error):
            _log.error("storing %d messages in %s failed: %s", len(taken), self._path, outcome)
        else:
            _log.error("storing %d messages failed", len(taken), exc_info=outcome)
        return failed(taken)

    def _run_in(self, thread: NativeThread, function: Callable[..., _T], *arguments: object) -> _T:
        """Run a function in a native thread and wait for it. Raises Refused `storage`."""
        try:
            with gevent.Timeout(_DISK_SECONDS, TimeoutError):
                outcome = thread.run(function, *arguments)
        except TimeoutError:  # the disk hangs, and the thread with it
            _log.error("database error: no answer within %d s", _DISK_SECONDS)
            raise Refused("storage", "The server could not read or write its database.") from None
        if isinstance(outcome, Damaged):
            if outcome.place not in self._known_damage:  # once: every join reads it
                self._known_damage.add(outcome.place)
                _log.error("%s: %s; see `geventchat history check`", self._path, outcome)
            raise Refused("storage", "Some messages in this room are corrupted.")
        if isinstance(outcome, sqlite3.Error):
            _log.error("database error: %s", outcome)
            raise Refused("storage", "The server could not read or write its database.")
        if isinstance(outcome, Exception):
            raise outcome
        return outcome
