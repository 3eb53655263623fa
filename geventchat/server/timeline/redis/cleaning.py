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
_NODE_ENTRIES: Final = 100
"""Most entries of a node, unless the engine is configured otherwise."""

_log = logging.getLogger(__name__)


class Cleaning:
    """Cleans up after redactions, in steps of one. Used by one greenlet."""

    def __init__(self, engine: Callable[[], Engine], identity: Identity) -> None:
        self._engine = engine
        self._identity = identity
        self._refused = ""
        """Why the engine did not rewrite its file."""

    def step(self) -> bool:
        """Clean up after one redaction; return whether there are more. Waits.

        Raises EngineError.
        """
        left, now, first, last, asked = self._engine().run(
            _CLEAN, (), *self._identity(), _NODE_ENTRIES
        )
        if first and now - first > FEED_MS and now - asked > REWRITE_MS:
            self._rewrite(now, last)
        return bool(left)

    def _rewrite(self, now: int, last: int) -> None:
        try:
            self._engine().call("BGREWRITEAOF")
        except Rejected as error:
            if error.text != self._refused:
                text = "%s does not rewrite its file, which has redacted messages: %s"
                _log.warning(text, self._engine().where, error.text)
            self._refused = error.text
            return
        self._refused = ""
        self._engine().call("HSET", keys.ERASE, "asked", now)
        if now - last > FEED_MS:
            self._engine().call("HDEL", keys.ERASE, "first")
        else:  # that one may be in the feed
            self._engine().call("HSET", keys.ERASE, "first", last)
