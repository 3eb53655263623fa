"""Nodes whose every exchange with a real engine is let through by the test, one at a time.

What they hear of each other comes by the entries of the feed, one at a time as well.
"""

import secrets
from collections import deque
from collections.abc import Callable
from contextlib import closing
from typing import Any

import gevent
from gevent.event import Event

from geventchat.server.timeline.nodes import Alone, Listener
from geventchat.server.timeline.redis.claims import Claims
from geventchat.server.timeline.redis.engine import Engine, InDoubt
from geventchat.server.timeline.redis.life import LifeEnded
from geventchat.server.timeline.redis.rooms import FeedId, feed_id
from geventchat.server.timeline.redis.scripts import Script
from tests.engines import RunningEngine

_SECONDS = 30.0


class Gate:
    """Runs scripts when the test says so."""

    def __init__(self, engine: Engine, node: str) -> None:
        self._engine = engine
        self._node = node
        self.life = 1
        self._waiting: deque[Event] = deque()
        self._passed: Event | None = None
        self.open = False
        """Whether everything passes at once."""
        self.losing = False
        """Whether the next answer is lost."""
        self.ended = False
        """Whether the life has ended in which this node takes part."""

    def run(self, script: Script, *arguments: Any) -> Any:
        if not self.open:
            event = Event()
            self._waiting.append(event)
            event.wait()
        try:
            if self.ended:
                raise LifeEnded
            answer = self._engine.run(script, (), self._node, self.life, *arguments)
        finally:
            if self._passed is not None:
                self._passed.set()
        if self.losing:
            self.losing = False
            raise InDoubt("the answer was lost")
        return answer

    def let_through(self) -> bool:
        """Have the next script run, if there is one; return when it has."""
        if not self._waiting:
            return False
        self._passed = Event()
        self._waiting.popleft().set()
        assert self._passed.wait(_SECONDS)
        self._passed = None
        return True


class Heard:
    """The feed, as far as the test has brought it."""

    def __init__(self) -> None:
        self.passed: FeedId = (0, 0)
        self._moved = Event()

    def wait(self, place: FeedId, seconds: float) -> bool:
        while self.passed < place:
            if not self._moved.wait(seconds):
                return False
        return True

    def move(self, place: FeedId) -> None:
        self.passed = place
        self._moved.set()
        self._moved = Event()


class GatedNodes(Alone):
    """The claims of one node, between gates; in all else it is alone."""

    alone = False
    decides = False

    def __init__(self, engine: RunningEngine) -> None:
        self.node = secrets.token_hex(4)
        self._engine = Engine(engine.where, name="gated", seconds=_SECONDS)
        self._listener: Listener | None = None
        self.gate = Gate(self._engine, self.node)
        self.heard = Heard()
        self.begin_life(1)
        self.claims = Claims(self.gate, self.heard, self._hear_moved)  # type: ignore[arg-type]
        self.gate.open = True
        self.claims.begin()
        self.gate.open = False
        for name in (
            "known", "enter", "hold", "leave", "check", "claim", "reserve", "restore", "unclaim",
            "next_guest",
        ):  # fmt: skip
            setattr(self, name, getattr(self.claims, name))

    def begin_life(self, number: int) -> None:
        """Take part in a life, and hear from now on."""
        self.gate.life = number
        self._engine.call("HSET", "{gc}:life", "life", number)
        entry = self._engine.call("XADD", "{gc}:feed", f"{number}-*", "h", self.node)
        self._engine.call("HSET", "{gc}:leases", self.node, 1 << 50)
        self.heard.passed = feed_id(entry)

    def listen(self, listener: Listener) -> None:
        self._listener = listener

    def _hear_moved(self, client: bytes, node: str) -> None:
        assert self._listener is not None
        self._listener.hear_moved(client, node)

    def hear(self) -> bool:
        """Hear the next entry of the feed, if there is one."""
        low = "({}-{}".format(*self.heard.passed)
        entries = self._engine.call("XRANGE", "{gc}:feed", low, "+", "COUNT", 1)
        for place, fields in entries:
            told = dict(zip(fields[::2], fields[1::2], strict=True))
            if b"c" in told:
                own = told[b"n"] == self.node.encode()
                self.claims.hear(feed_id(place), told, own=own)
            self.heard.move(feed_id(place))
        return bool(entries)

    def end(self) -> None:
        """End as a node that is killed: its lease is over."""
        self.claims.close()
        self._engine.call("HDEL", "{gc}:leases", self.node)
        self._engine.close()


def emptied(engine: RunningEngine) -> None:
    """Forget everything on an engine."""
    with closing(Engine(engine.where, name="gated")) as line:
        line.call("FLUSHALL")


def let_run(until: Callable[[], bool] = lambda: False) -> None:
    """Let all greenlets run that are ready."""
    for _ in range(5):
        if until():
            return
        gevent.sleep(0)
