"""Removes redacted texts from the files, in steps of the maintenance."""

import time
from typing import Final

import gevent
from gevent.hub import Waiter
from gevent.monkey import get_original

from geventchat.server.timeline.sqlite import remains
from geventchat.server.timeline.sqlite.native import NativeThread
from geventchat.server.timeline.sqlite.reader import Reader
from geventchat.server.timeline.sqlite.store import Store

_INTERVAL_SECONDS: Final = 3.0
"""Minimum time between two searches."""
_SEARCH_SECONDS: Final = 0.5
"""How long a step waits for one; a large file takes longer."""
_STEP_PAGES: Final = 128
"""Pages that are cleaned at a time: a commit may have to wait for it."""
_REST_SECONDS: Final = 0.0005
"""Pause of a search after each MB, for the sake of the other threads."""

_sleep: Final = get_original("time", "sleep")


class Cleaning:
    """Empties the log, which has former texts, and removes what is left of them in the file.

    The file is searched in a thread of its own, so that nothing else has to wait.
    """

    def __init__(
        self,
        store: Store,
        reader: Reader,
        writer_thread: NativeThread,
        reader_thread: NativeThread,
    ) -> None:
        self._store = store
        self._reader = reader
        self._writer_thread = writer_thread
        self._reader_thread = reader_thread
        self.thread = NativeThread()
        self._search: Waiter[list[int] | Exception] | None = None
        """A search that is under way."""
        self._pages: list[int] | None = None
        """The pages with remains that are still to be removed; None: no search has ended."""
        self._ended_at = 0.0
        self._cancelled = False

    def step(self) -> Exception | None:
        """Do what is due, and return what failed. Waits. To be called once a second.

        While another program reads the log it has to stay, and the next step tries it again.
        """
        if self._pages is None:
            if self._search is None:
                failure = self._begin()
                if self._search is None:
                    return failure
            outcome = self._searched()
            if isinstance(outcome, Exception):
                self._store.has_remains = True
                return None if self._cancelled else outcome
            if outcome is None:
                return None
            self._pages = outcome
        while self._pages:
            some = self._pages[-_STEP_PAGES:]
            done = self._writer_thread.run(self._store.remove_remains, some)
            if done is not True:
                return self._failed(done) if isinstance(done, Exception) else None
            del self._pages[-_STEP_PAGES:]
        ended = self._writer_thread.run(self._store.end_cleaning)
        self._reader_thread.run(self._reader.forget)
        self._pages, self._ended_at = None, time.monotonic()
        return ended

    def _failed(self, error: Exception) -> Exception:
        self._pages = None  # the next search finds them again
        return error

    def cancel(self) -> None:
        """End a search: the next server makes up for it. Never waits."""
        self._cancelled = True

    def _begin(self) -> Exception | None:
        """Begin a search, if that is due and nothing reads the log; return what failed."""
        late = time.monotonic() - self._ended_at >= _INTERVAL_SECONDS
        if not (self._store.has_remains and late):
            return None
        file = self._writer_thread.run(self._store.begin_cleaning)
        if isinstance(file, int):
            self._search = self.thread.spawn(remains.find, file, self._rest)
        return file if isinstance(file, Exception) else None

    def _searched(self) -> list[int] | Exception | None:
        """Return the pages that a search has found; None: it goes on."""
        assert self._search is not None
        try:
            with gevent.Timeout(_SEARCH_SECONDS, TimeoutError):
                found = self._search.get()
        except TimeoutError:
            return None
        self._search = None
        return found

    def _rest(self) -> None:
        if self._cancelled:
            raise InterruptedError("the server ends")
        _sleep(_REST_SECONDS)  # of the native thread
