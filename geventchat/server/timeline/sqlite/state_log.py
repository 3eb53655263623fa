"""Logs what changes in the state of a store, once when it begins and once when it ends."""

import logging
import time
from typing import Final

from geventchat.server.timeline.clock import note_ahead
from geventchat.server.timeline.sqlite.store import Store

_TRIM_SECONDS: Final = 60
"""Minimum interval between two lines about trimming: a busy room is trimmed all the time."""
_HELD_ROUNDS: Final = 5
"""Rounds after which a reader holds the log: those of the server are shorter."""

_log = logging.getLogger(__name__)


class StateLog:
    """What was logged about a store. Never waits; for the thread that may log, the hub's."""

    def __init__(self, store: Store, path: str) -> None:
        self._store = store
        self._path = path
        self._guard_error: str | None = None
        self._ahead = self._held = False
        self._recoveries = self._trimmed = 0
        self._trim_began_at = 0.0
        self._trim_logged_at = -float(_TRIM_SECONDS)

    def note(self) -> None:
        """Log what has changed. Due after each round of maintenance."""
        self._note_guard()
        self._note_failing()
        self._note_clock()
        self._note_wal()

    def note_trimmed(self, *, ended: bool, at_once: bool = False) -> None:
        """Log how many messages were deleted since the last line, when a run has `ended`.

        In a busy room it may never end; at most one line a minute is logged, unless `at_once`.
        """
        now = time.monotonic()
        count = self._store.trimmed - self._trimmed
        if not count:
            self._trim_began_at = now
        elif at_once or (
            now - self._trim_logged_at >= _TRIM_SECONDS
            and (ended or now - self._trim_began_at >= _TRIM_SECONDS)
        ):
            text = "1 message" if count == 1 else f"{count:,} messages"
            _log.info("history trimmed: %s deleted", text)
            self._trimmed += count
            self._trim_logged_at = now

    def _note_guard(self) -> None:
        error = self._store.guard.error
        if error != self._guard_error:
            self._guard_error = error
            if error is not None:
                _log.error("rollback guard disabled: cannot write %s", error)
            else:
                _log.info("rollback guard enabled again")

    def _note_failing(self) -> None:
        """Log only the end: what has failed is logged where it did."""
        if self._recoveries != self._store.recoveries:
            self._recoveries = self._store.recoveries
            _log.info("messages can be stored in %s again", self._path)

    def _note_clock(self) -> None:
        self._ahead = note_ahead(self._store.clock_ahead_ms, was_ahead=self._ahead)

    def _note_wal(self) -> None:
        held = self._store.space.held >= _HELD_ROUNDS
        if held and not self._held:
            text = (
                "%s-wal has grown to %d MB and cannot shrink while something reads the database,"
                " such as `geventchat history export` whose output is not read"
            )
            _log.warning(text, self._path, self._store.space.wal_bytes >> 20)
        elif self._held and not held:
            _log.info("%s-wal has shrunk again", self._path)
        self._held = held
