"""The right to decide: one node has it at a time, and one greenlet of that node.

A node keeps the right until another asks for it, or for a moment after its last decision. So
decisions of one node that follow each other cost nothing, and a node alone asks only once. Nodes
get it in the order in which they asked: the feed tells who has it, and that somebody waits.
"""

import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import gevent
from gevent.event import Event

from geventchat.protocol.errors import Refused
from geventchat.server.timeline.nodes import Nodes
from geventchat.server.timeline.redis.backoff import pauses
from geventchat.server.timeline.redis.engine import EngineError
from geventchat.server.timeline.redis.feed import Feed
from geventchat.server.timeline.redis.life import Fenced, Life, LifeEnded
from geventchat.server.timeline.redis.rooms import feed_id
from geventchat.server.timeline.redis.scripts import Script
from geventchat.server.timeline.redis.writer import Writer

_WAIT_SECONDS: Final = 10.0
"""How long a greenlet waits for its turn."""
_MOST_SECONDS: Final = 0.02
"""How long the decisions of one node may follow each other while another node waits."""
_IDLE_SECONDS: Final = 1.0
"""How long a node keeps the right that nobody asks for."""
_ASK_SECONDS: Final = 0.25
"""How often a node asks again: who has the right may be gone."""
_HEAR_SECONDS: Final = 5.0

DECIDE: Final = Script("decide")
UNDECIDE: Final = Script("undecide")


class Deciding:
    """The right, as one node has it or waits for it. Nothing here waits unless it says so."""

    def __init__(
        self,
        writer: Writer,
        life: Life,
        feed: Feed,
        nodes: Nodes,
    ) -> None:
        self._writer = writer
        self._life = life
        self._feed = feed
        self._nodes = nodes
        self._waiting: deque[tuple[Any, Event]] = deque()
        self._owner: Any = None
        """The greenlet that decides."""
        self._depth = 0
        self._number = 0
        """Of the last ask."""
        self._asked = 0
        """That number, until the right is got; 0 then."""
        self._of = -1
        """The life in which this node has the right."""
        self._giving_back = -1
        """The life in which it gives the right back, until all that was decided is on disk."""
        self._since = 0.0
        """When it got it, by the monotonic clock."""
        self._wanted = False
        """Whether another node waits."""
        self._adopted = Event()
        """Set when the records of another epoch are known."""
        self._told = Event()
        """Set when it may be this node's turn."""
        self._changed = Event()
        """Set when the agent may have something to do."""
        self._agent: gevent.Greenlet[[], None] | None = None
        """Talks with the engine, while there is anything to say."""

    @contextmanager
    def deciding(self, *, adopting: bool = False) -> Iterator[None]:
        """Decide in a `with` block: see Nodes. Waits on entering. Raises Refused `storage`."""
        until = time.monotonic() + _WAIT_SECONDS
        self._begin(until)
        while self._depth == 1 and not adopting and not self._is_adopted:
            self._end()
            self._wait(self._adopted, until)
            self._begin(until)
        try:
            yield
        finally:
            self._end()

    def note_adopted(self) -> None:
        """Let all decide who wait for the records of another epoch to be known."""
        self._adopted.set()
        self._adopted = Event()

    @property
    def decides(self) -> bool:
        """Whether nobody on another node may decide now; also while this node gives that back."""
        return self._life.number in (self._of, self._giving_back)

    def hear(self, fields: Mapping[bytes, bytes]) -> None:
        """Follow an entry of the feed that tells who has the right, or that another node waits."""
        ask = f"{self._life.number} {self._life.node} {self._number}".encode()
        if fields.get(b"d") == ask and self._asked:
            self._got(wanted=fields[b"w"] != b"0")
        elif fields.get(b"q") == ask:
            self._wanted = True
            self._act()

    def hear_gone(self) -> None:
        """Note that a node has ended, which may have had the right."""
        self._told.set()

    @property
    def _is_adopted(self) -> bool:
        return self._life.adopted == self._life.epoch

    @property
    def _has(self) -> bool:
        return self._of == self._life.number

    @property
    def _goes_on(self) -> bool:
        """Whether this node may decide, or go on deciding."""
        if not self._has:
            return False
        if not self._wanted:
            return True
        return bool(self._waiting) and time.monotonic() - self._since < _MOST_SECONDS

    @property
    def _is_idle(self) -> bool:
        return self._has and self._owner is None and not self._waiting

    def _begin(self, until: float) -> None:
        current = gevent.getcurrent()
        if self._owner is current:
            self._depth += 1
            return
        if self._owner is None and not self._waiting and not self._wanted and self._has:
            self._owner, self._depth = current, 1
            return
        waiter = current, Event()
        self._waiting.append(waiter)
        came = False
        try:
            self._next()
            self._wait(waiter[1], until)
            came = True
        finally:
            if not came:
                self._give_up(waiter)

    def _wait(self, event: Event, until: float) -> None:
        if not event.wait(max(until - time.monotonic(), 0)):
            raise Refused("storage", "The server could not store that in time. Try again.")

    def _give_up(self, waiter: tuple[Any, Event]) -> None:
        if self._owner is waiter[0]:  # its turn came too late
            self._end()
        else:
            self._waiting.remove(waiter)

    def _end(self) -> None:
        self._depth -= 1
        if not self._depth:
            self._owner = None
            self._next()

    def _next(self) -> None:
        """Let the next greenlet decide, or have the agent see to the right."""
        if self._owner is None and self._waiting and self._goes_on:
            self._owner, event = self._waiting.popleft()
            self._depth = 1
            event.set()
        elif self._waiting or self._wanted or self._nodes.others:
            self._act()

    def _got(self, *, wanted: bool) -> None:
        self._asked = 0
        self._of, self._since = self._life.number, time.monotonic()
        self._wanted = self._wanted or wanted
        self._told.set()
        self._next()

    def _act(self) -> None:
        self._changed.set()
        if self._agent is None:
            self._agent = gevent.spawn(self._see_to_it)
            self._agent.name = "deciding"

    # What waits

    def _see_to_it(self) -> None:
        """Ask for the right and give it back, as long as there is something to do."""
        try:
            while not self._writer.closed:
                self._changed.clear()
                if self._owner is None and not self._goes_on:
                    if self._has:
                        self._give_back()
                    elif self._waiting:
                        self._ask()
                    else:
                        return
                elif not self._changed.wait(_IDLE_SECONDS) and self._is_idle:
                    if not self._nodes.others:
                        return
                    self._give_back()
        except Fenced:
            return
        finally:
            self._agent = None

    def _ask(self) -> None:
        """Get the right. Raises Fenced."""
        self._number += 1
        self._asked, self._wanted = self._number, False
        waits = pauses()
        while self._asked and not self._writer.closed:
            self._told.clear()
            life = self._life.number
            try:
                got, wanted, last = self._writer.run(DECIDE, self._number)
                heard = got and self._feed.wait(feed_id(last), _HEAR_SECONDS)
            except LifeEnded:
                self._number = self._asked = self._number + 1
            except EngineError:
                gevent.sleep(next(waits))
            else:
                if self._asked and heard and life == self._life.number:
                    self._got(wanted=bool(wanted))
                elif self._asked and not got:
                    self._told.wait(_ASK_SECONDS)

    def _give_back(self) -> None:
        """Let other nodes decide when all that was decided is on disk. Raises Fenced."""
        self._giving_back, self._of = self._of, -1
        waits = pauses()
        while not self._writer.closed:
            try:
                if self._is_adopted:  # until then nothing was decided, and nothing can be written
                    self._nodes.settled()
                self._giving_back = -1
                self._writer.run(UNDECIDE, self._number)
            except LifeEnded:
                return
            except (EngineError, Refused):
                gevent.sleep(next(waits))
            else:
                return
