"""Cleaning: takes redacted texts out of the engine's memory and files.

A deleted entry of a stream stays in memory, and in the files, until all of its node is deleted. So
what is around it moves out of the stream. The text is also in the feed for a minute, and in the
append-only file until the engine rewrites it, for which it is asked when the feed has passed.
"""

import logging
from collections.abc import Callable
from typing import Final

from geventchat.server.timeline.redis import keys
from geventchat.server.timeline.redis.engine import Engine, Rejected
from geventchat.server.timeline.redis.retention import Identity
from geventchat.server.timeline.redis.scripts import Script

FEED_MS: Final = 180_000
"""After this long no text is in the feed: it is trimmed after a minute, but in memory until a node
of up to 100 entries is, of which there is one a second at least."""
REWRITE_MS: Final = 600_000
"""Pause between two requests to rewrite the file."""

_CLEAN: Final = Script("clean")
_NEVER: Final = "aof_last_rewrite_time_sec:-1"
"""What an engine says that has not rewritten its file since it was started."""
_NODE_ENTRIES: Final = 100
"""Most entries of a node, unless the engine is configured otherwise."""

_log = logging.getLogger(__name__)


class Cleaning:
    """Cleans up after redactions, in steps of one. Used by one greenlet."""

    def __init__(self, engine: Callable[[], Engine], identity: Identity) -> None:
        self._engine = engine
        self._identity = identity
        self._asked_at = 0
        """When the engine was asked to rewrite its file, until it has; 0: it was not."""
        self._complained = ""
        """What was logged of a file that was not rewritten."""

    def step(self) -> bool:
        """Clean up after one redaction; return whether there are more. Waits.

        Raises EngineError.
        """
        left, now, first, last, asked = self._engine().run(
            _CLEAN, (), *self._identity(), _NODE_ENTRIES
        )
        if self._asked_at:
            self._note_rewritten(last)
        elif first and now - first > FEED_MS and now - asked > REWRITE_MS:
            self._rewrite(now)
        return bool(left)

    def _rewrite(self, now: int) -> None:
        """Ask the engine to rewrite its file."""
        try:
            self._engine().call("BGREWRITEAOF")
        except Rejected as error:
            self._complain(f"does not rewrite its file, which has redacted messages: {error.text}")
            return
        self._engine().call("HSET", keys.ERASE, "asked", now)
        self._asked_at = now

    def _note_rewritten(self, last: int) -> None:
        """Note what is still in the file when the engine has rewritten it.

        It may fail long after it was asked, and forgets that it was when it is started again: then
        all that was in the file still is, and it is asked again after the pause.
        """
        told = self._engine().call("INFO", "persistence").decode("utf-8", "replace").split()
        if "aof_rewrite_in_progress:1" in told or "aof_rewrite_scheduled:1" in told:
            return
        asked_at, self._asked_at = self._asked_at, 0
        if "aof_last_bgrewrite_status:ok" not in told or _NEVER in told:
            self._complain("has not rewritten its file, which has redacted messages; see its log")
            return
        self._complained = ""
        if asked_at - last > FEED_MS:
            self._engine().call("HDEL", keys.ERASE, "first")
        else:  # that one may have been in the feed
            self._engine().call("HSET", keys.ERASE, "first", last)

    def _complain(self, what: str) -> None:
        """Log once that the file has not been rewritten."""
        if what != self._complained:
            _log.warning("%s %s", self._engine().where, what)
        self._complained = what
