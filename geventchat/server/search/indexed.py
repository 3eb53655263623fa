"""Search by an index that is kept behind the commits of a SQLite timeline."""

import logging
import os
import time
from collections.abc import Mapping
from typing import Final

import gevent
import msgspec
from gevent.event import Event

from geventchat.protocol.errors import Refused
from geventchat.server.search import SECONDS, Places, Search
from geventchat.server.search.index import discard
from geventchat.server.search.process import Process
from geventchat.server.search.query import Query
from geventchat.server.search.worker import Find, Found, Step, Stepped
from geventchat.server.timeline import Batch

_WORKER: Final = "geventchat.server.search.worker"
_GATHER_SECONDS: Final = 1.0
"""How late the index is at least: what gathers meanwhile is indexed with one commit."""
_PAUSE: Final = 2.0
"""Pause after a step, in durations of the step: the index takes a third of a core at most."""
_WALK_SECONDS: Final = 300.0
"""How often all rooms are looked at, for what was trimmed."""
_RETRY_SECONDS: Final = 3.0
_STEP_SECONDS: Final = 3600.0
"""Time limit of a step: at the end of a merge it reads all of the index."""
_FIND_SECONDS: Final = 10.0
"""Time limit of a search, of which it may take `SECONDS`; a busy machine lets it wait."""
_MOST_WAITING: Final = 32
"""Searches at a time; further ones are refused."""
_NOT_AVAILABLE: Final = "Search is not available now. Try again later."

_log = logging.getLogger(__name__)


class IndexedSearch(Search):
    """Two processes: one indexes, one searches. Each is started when it is needed."""

    def __init__(self, database: str, epoch: str) -> None:
        self._path = _path(database)
        self._new: dict[str, None] = {}
        """Rooms in which something is new."""
        self._some = Event()
        self._indexing = Process(_WORKER, "index", database, self._path, epoch)
        self._searching = Process(_WORKER, "find", database, self._path)
        self._waiting = 0
        self._pending = 0
        """Rooms with something new of which the index knows."""
        self._is_open = False
        self._greenlet: gevent.Greenlet[[], None] | None = None
        self._failed = ""
        self._damaged = False
        """Whether a search has found the index damaged, so that a new one has to be begun."""

    def note(self, batch: Batch) -> None:
        for entry, _ in batch.entries:
            self._new[entry.room] = None
        if self._new:
            self._some.set()

    def start(self) -> None:
        self._greenlet = gevent.spawn(self._keep_up)
        self._greenlet.name = "search"

    def close(self) -> None:
        if self._greenlet is not None:
            self._greenlet.kill()
        # The last connection removes the write-ahead log, unless it only reads.
        self._searching.close()
        self._indexing.close()

    @property
    def lag(self) -> int:
        return len(self._new) + self._pending

    @property
    def file_bytes(self) -> int:
        try:
            return os.stat(self._path).st_size
        except OSError:
            return 0

    def find(
        self,
        query: Query,
        rooms: Mapping[str, int],
        *,
        author: str | None,
        before: int | None,
        limit: int,
    ) -> Places:
        if self._failed:
            raise Refused("storage", _NOT_AVAILABLE)
        if not self._is_open:
            return Places([], complete=False)
        if self._waiting >= _MOST_WAITING:
            raise Refused("slow_down", "Too many are searching. Try again.", retry_ms=1_000)
        find = Find(query.match, dict(rooms), author, before, limit, SECONDS)
        self._waiting += 1
        try:
            answer = self._searching.ask(msgspec.json.encode(find), _FIND_SECONDS)
        except OSError as error:
            _log.error("a search failed: %s", error)
            raise Refused("storage", _NOT_AVAILABLE) from None
        finally:
            self._waiting -= 1
        found = msgspec.json.decode(answer, type=Found)
        if found.failed:
            _log.error("a search failed: %s", found.failed)
            if found.damaged:
                self._damaged = True
                self._some.set()
            raise Refused("storage", _NOT_AVAILABLE)
        return Places(found.places, True) if found.complete else Places.cut(found.places)

    def _keep_up(self) -> None:
        # The server starts first. And what was not indexed when it ended is in no batch.
        gevent.sleep(_GATHER_SECONDS)
        walked, walk = time.monotonic(), False
        while True:
            stepped = self._step(walk)
            self._report(stepped.failed)
            if stepped.failed:
                gevent.sleep(_RETRY_SECONDS)
                continue
            walk, self._pending, self._is_open = False, stepped.pending, True
            if stepped.more:
                gevent.sleep(max(stepped.seconds * _PAUSE, 0.001))
                continue
            if time.monotonic() - walked > _WALK_SECONDS:
                walked, walk = time.monotonic(), True
            self._some.wait(_WALK_SECONDS)
            gevent.sleep(_GATHER_SECONDS)

    def _step(self, walk: bool) -> Stepped:
        rooms, self._new = list(self._new), {}
        self._some.clear()
        step = msgspec.json.encode(Step(rooms, walk, self._damaged))
        self._damaged = False
        try:
            return msgspec.json.decode(self._indexing.ask(step, _STEP_SECONDS), type=Stepped)
        except OSError as error:  # the next one looks at all rooms, also at these
            return Stepped(failed=str(error))

    def _report(self, failed: str) -> None:
        """Log a failure once, for as long as it lasts."""
        if failed and failed != self._failed:
            _log.error("indexing for search failed: %s", failed)
        self._failed = failed


def discard_index(database: str) -> None:
    """Delete the index of a database, if it has one. A failure is logged."""
    try:
        discard(_path(database))
    except OSError as error:
        _log.error("the index for search could not be deleted: %s", error)


def _path(database: str) -> str:
    return f"{database}.search"
