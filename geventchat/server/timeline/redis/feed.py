"""Reads the feed: everything that was stored, in one order, whoever stored it."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Final

import gevent
from gevent.event import Event

from geventchat.server.slices import SLICE_SECONDS, pause
from geventchat.server.timeline.redis import keys
from geventchat.server.timeline.redis.backoff import pauses
from geventchat.server.timeline.redis.engine import Engine, EngineError
from geventchat.server.timeline.redis.life import Life
from geventchat.server.timeline.redis.rooms import FeedId, feed_id

_AT_ONCE: Final = 200
_BLOCK_MS: Final = 1000
_SURE_SECONDS: Final = 0.05
_DEAF_SECONDS: Final = 3.0
"""How late an entry may be that is known to be there."""

_log = logging.getLogger(__name__)

Fields = Mapping[bytes, bytes]


class Feed:
    """The feed from a place on. What it brings is heard in stretches that never switch."""

    def __init__(
        self,
        connect: Callable[[], Engine],
        passed: FeedId,
        hear: Callable[[FeedId, Fields], None],
        life: Life,
    ) -> None:
        """`connect` makes an engine for the feed alone; `hear` is called with each later entry.

        Nothing is heard while `life` is not sure that others believe this node alive.
        """
        self._life = life
        self._connect = connect
        self._hear = hear
        self._engine = connect()
        self._reconnected = 0.0
        """When it last connected anew, by the monotonic clock."""
        self.passed = passed
        """The last entry that was heard."""
        self.broken = False
        """Whether an entry is missing or unreadable: nothing more is heard until `go_on`."""
        self.holes = 0
        """How often an entry was missing or unreadable."""
        self._heard_at = time.monotonic()
        self.running = False
        """Whether `run` was called."""
        self._ended = False
        self._moved = Event()
        self._expected: tuple[FeedId, float] | None = None
        """An entry that is there, and since when that is known."""

    def go_on(self, place: FeedId) -> None:
        """Hear what is after a place, on a new connection. Never waits."""
        self.passed = place
        self.broken = False
        self._expected = None
        self._reconnect()
        self._move()

    def wait(self, place: FeedId, seconds: float) -> bool:
        """Wait until an entry was heard, for so many seconds at most; return whether it was."""
        end = time.monotonic() + seconds
        while self.passed < place:
            if self._ended or not self._moved.wait(max(end - time.monotonic(), 0)):
                return False
        return True

    def expect(self, place: FeedId) -> None:
        """Note that an entry is there; reconnect if one is not heard for too long. Never waits."""
        if self._expected is None or self.passed >= self._expected[0]:
            self._expected = place, time.monotonic()
        elif not self.running:  # yet
            self._expected = self._expected[0], time.monotonic()
        elif time.monotonic() - max(self._expected[1], self._reconnected) > _DEAF_SECONDS:
            _log.warning("the feed of %s is silent: reconnecting", self._engine.where)
            self._reconnect()

    @property
    def deaf_seconds(self) -> float:
        """For how long an entry is there that was not heard."""
        if self._expected is None or self.passed >= self._expected[0]:
            return 0.0
        return time.monotonic() - self._expected[1]

    @property
    def silent_seconds(self) -> float:
        """How long ago the last entry was heard: there is one a second at least."""
        return time.monotonic() - self._heard_at

    def run(self) -> None:
        """Hear everything, until killed."""
        self.running = True
        waits = pauses()
        while True:
            try:
                self._read()
                waits = pauses()
            except EngineError:
                gevent.sleep(next(waits))
            while self.broken:
                gevent.sleep(next(waits))

    def end(self) -> None:
        """Note that nothing more will be heard: nobody need wait for it. Never waits."""
        self._ended = True
        self._move()

    def close(self) -> None:
        """End the connection."""
        self._engine.close()

    def _read(self) -> None:
        engine, passed = self._engine, self.passed
        where = "STREAMS", keys.FEED, f"{passed[0]}-{passed[1]}"
        answer = engine.call("XREAD", "COUNT", _AT_ONCE, "BLOCK", _BLOCK_MS, *where)
        if not self._life.sure:
            self._life.hurry.set()
            gevent.sleep(_SURE_SECONDS)
            return
        began = time.perf_counter()
        for text, fields in answer[0][1] if answer else ():
            place = feed_id(text)
            if engine is not self._engine or self.broken:
                return
            if place[0] != passed[0]:  # another life has begun, as the next beat tells
                self.broken = True
                self._life.hurry.set()
                return
            if place[1] != self.passed[1] + 1:
                self._break()
                _log.error("the feed of %s has a hole after %s-%s", engine.where, *self.passed)
                return
            try:
                self._hear(place, dict(zip(fields[::2], fields[1::2], strict=True)))
            except Exception:  # a bug, or an entry that is damaged
                self._break()
                _log.exception("an entry of the feed of %s cannot be read", engine.where)
                return
            self.passed = place
            self._heard_at = time.monotonic()
            self._move()
            if time.perf_counter() - began > SLICE_SECONDS:
                pause()
                began = time.perf_counter()

    def _break(self) -> None:
        self.broken = True
        self.holes += 1
        self._life.hurry.set()

    def _move(self) -> None:
        self._moved.set()
        self._moved = Event()

    def _reconnect(self) -> None:
        self._engine.close()
        self._engine = self._connect()
        self._reconnected = time.monotonic()
