"""Maintenance of what is stored: trims, cleans and checks it, in steps with pauses in between."""

import logging
import time
from collections.abc import Callable
from typing import Final

import gevent

from geventchat.config import Limits
from geventchat.server.timeline.clock import note_ahead
from geventchat.server.timeline.redis import fitness
from geventchat.server.timeline.redis.cleaning import Cleaning
from geventchat.server.timeline.redis.engine import Engine, EngineError, Rejected
from geventchat.server.timeline.redis.retention import Identity, Retention, policy_of
from geventchat.server.timeline.retention_policy import RetentionPolicy

_STEP_SECONDS: Final = 0.02
"""Pause after a step that did something, in which the engine serves others."""
_PAUSE_SECONDS: Final = 1.0
_LOG_SECONDS: Final = 60
"""Minimum interval between two lines about trimming: a busy room is trimmed all the time."""

_log = logging.getLogger(__name__)


class Maintenance:
    """A greenlet's work. What it does is refused by the engine once the node has no lease."""

    def __init__(
        self, engine: Callable[[], Engine], identity: Identity, leads: Callable[[], bool]
    ) -> None:
        """`engine` returns the connection to use: not that for turns, which would wait for it.

        `leads`: whether this node is the one that does it.
        """
        self._leads = leads
        self._retention = Retention(engine, identity)
        self._cleaning = Cleaning(engine, identity)
        self._watch = fitness.Watch(engine)
        self._failed = ""
        """The code of the error of the last step."""
        self._ahead = False
        self._logged = 0
        """Number of deleted posts that were logged."""
        self._began_at = time.monotonic()
        self._logged_at = -float(_LOG_SECONDS)

    @property
    def trimmed(self) -> int:
        """Number of posts deleted because of a limit of the history."""
        return self._retention.trimmed

    def configure(self, limits: Limits) -> None:
        """Apply limits. Never waits."""
        self._retention.policy = policy_of(RetentionPolicy.of(limits))

    def note_written(self, room: str, count: int) -> None:
        """Note that a room has new posts, and how many in all. Never waits."""
        self._retention.note_written(room, count)

    def run(self) -> None:
        """Take steps, without an end."""
        while True:
            while not self._leads():
                self._retention.forget_written()
                gevent.sleep(_PAUSE_SECONDS)
            more = False
            try:
                more = self._retention.step()
                more = self._cleaning.step() or more
                self._watch.step()
                self._failed = ""
            except EngineError as error:
                self._note_failed(error)
            self._note_clock()
            self._note_trimmed(ended=not more)
            gevent.sleep(_STEP_SECONDS if more else _PAUSE_SECONDS)

    def _note_failed(self, error: EngineError) -> None:
        """Log an error of the engine once; that it is away is logged where something is stored."""
        code = error.code if isinstance(error, Rejected) else ""
        if code not in ("", "FENCED", self._failed):
            _log.error("maintenance failed: %s", error.text)
        self._failed = code

    def _note_clock(self) -> None:
        self._ahead = note_ahead(self._retention.ahead_ms, was_ahead=self._ahead)

    def _note_trimmed(self, *, ended: bool) -> None:
        """Log how many messages were deleted, when there is nothing more, or once a minute."""
        count = self.trimmed - self._logged
        now = time.monotonic()
        if not count:
            self._began_at = now
        elif now - self._logged_at >= _LOG_SECONDS and (
            ended or now - self._began_at >= _LOG_SECONDS
        ):
            text = "1 message" if count == 1 else f"{count:,} messages"
            _log.info("history trimmed: %s deleted", text)
            self._logged += count
            self._logged_at = now
