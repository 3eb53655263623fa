"""The beat, once a second: it renews the lease of this node, says who lives, trims the feed."""

import time
from collections import deque
from typing import Final

from geventchat.server.timeline.redis.engine import EngineError, InDoubt
from geventchat.server.timeline.redis.feed import Feed
from geventchat.server.timeline.redis.life import BEAT, LEASE_SECONDS, Life, LifeEnded, beaten
from geventchat.server.timeline.redis.nodes import RedisNodes
from geventchat.server.timeline.redis.rooms import feed_id
from geventchat.server.timeline.redis.writer import Writer

_BEAT_SECONDS: Final = 1.0
_START_SECONDS: Final = 0.2
"""Between two beats until the feed is heard, which tells of a new node at once."""
_FEED_BEATS: Final = 60
"""How long an entry of the feed is kept, at least."""


class Beating:
    """The beats of this node."""

    def __init__(self, writer: Writer, life: Life, nodes: RedisNodes, feed: Feed) -> None:
        self._writer = writer
        self._life = life
        self._nodes = nodes
        self._feed = feed
        self._lasts = deque[bytes]()
        """The feed's last ids at the last beats."""

    def next(self) -> None:
        """Wait until a beat is due, and beat. Raises Fenced."""
        # A new node waits until each beat of the others shows that it was seen.
        pause = _BEAT_SECONDS if self._feed.running else _START_SECONDS
        again = self._life.hurry.wait(pause)
        self._life.hurry.clear()
        for _ in range(1 + again):
            self._beat()

    def _beat(self) -> None:
        trim = self._lasts.popleft() if len(self._lasts) > _FEED_BEATS else b""
        last = self._lasts[-1] if self._lasts else b""
        began, run = time.monotonic(), self._life.run
        try:
            answer = beaten(self._writer.run(BEAT, last, trim, ""))
        except (EngineError, LifeEnded) as error:
            self._lasts.clear()
            if isinstance(error, InDoubt):
                self._life.hurry.set()  # over another connection, before the lease ends
            return
        if run == self._life.run:
            self._life.sure_until = began + LEASE_SECONDS
        self._lasts.append(answer.last)
        self._nodes.note_beat(answer)
        self._feed.expect(feed_id(answer.last))
