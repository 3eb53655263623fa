"""Delivery: rooms take their turns, in slices short enough that nobody waits for a large room.

Everything that walks members or sessions shares one budget of 2 ms for each round of the event
loop. What does not fit goes on in a greenlet that yields between slices, rooms in rotation; those
with few members to go come first, one for each step of a larger one. Within a slice nothing
switches.
"""

import logging
import time
from collections import deque
from collections.abc import Iterator
from typing import Final, Protocol

import gevent
from gevent.event import Event

from geventchat.protocol import events
from geventchat.server.chat.room import Room
from geventchat.server.histogram import Histogram
from geventchat.server.participant import Participant
from geventchat.server.transport.outbox import Outbox

SLICE_SECONDS: Final = 0.002
_WALK: Final = 64
"""Members that are put to before what was put is flushed: how far a room goes in its rotation."""
_LOOK: Final = 16
"""Flushes, or steps of other work, between two looks at the clock: some 100 us."""

_log = logging.getLogger(__name__)


class Rounds(Protocol):
    """The event loop, as far as delivery needs it."""

    @property
    def iteration(self) -> int:
        """The number of the round that is going on."""


class Delivery:
    """Rooms that have something to say, and outboxes that were put to and not yet flushed."""

    def __init__(self) -> None:
        self._small: deque[Room] = deque()
        """Rooms that are through with their turn in one step,"""
        self._large: deque[Room] = deque()
        """and those that are not."""
        self._touched: deque[Outbox] = deque()
        self._errands: deque[Iterator[None]] = deque()
        """Other work, cut into small steps."""
        self._more = Event()
        self._loop: Rounds = gevent.get_hub().loop  # libev has it
        self._working = False
        self._round = -1
        """The round of the event loop that the budget is of."""
        self._left = 0.0
        self.turn_times = Histogram()
        """How long turns took, yields included."""
        self.heard_times = Histogram()
        """How long the first message of a turn took, from its coming until all had it."""
        self.delivered = 0
        """Posts times the members that heard them."""

    def start(self) -> None:
        """Begin to work off what does not fit in the slice it came with."""
        self.greenlet = gevent.spawn(self._go_on)
        self.greenlet.name = "delivery"

    @property
    def idle(self) -> bool:
        """Whether everything was delivered."""
        return not (self._small or self._large or self._touched or self._errands)

    def add(self, room: Room) -> None:
        """Let a room take turns until nothing more is pending; then call `work`."""
        if not room.busy:
            room.busy = True
            self._queue(room)

    def tell(self, room: Room, event: events.Event, exclude: Participant | None = None) -> None:
        """Let the rich members of a room hear an event in its next turn; then call `work`."""
        if room.tell(event, exclude):
            self.add(room)

    def errand(self, steps: Iterator[None]) -> None:
        """Do work that is cut into small steps, within the budget; then call `work`."""
        self._errands.append(steps)

    def work(self) -> None:
        """Do what the budget of this round allows; the rest goes on by itself. Never waits."""
        if self._slice():
            self._more.set()

    def _go_on(self) -> None:
        while True:
            self._more.wait()
            self._more.clear()
            while self._slice():
                # A timer, however short, lets sockets be read before it fires; sleep(0) does not.
                gevent.sleep(1e-9)

    def _slice(self) -> bool:
        """Work for what is left of the budget; return whether anything is left to do."""
        if self._working:  # an errand gave rooms something to say: the slice it runs in goes on
            return False
        iteration = self._loop.iteration
        if iteration != self._round:
            self._round = iteration
            self._left = SLICE_SECONDS
        elif self._left <= 0:
            return not self.idle
        end = time.perf_counter() + self._left
        self._working = True
        try:
            more = self._work_until(end)
        finally:
            self._working = False
        self._left = end - time.perf_counter()
        return more

    def _work_until(self, end: float) -> bool:
        """Work until a time of `perf_counter`; return whether anything is left to do."""
        touched, small, large, errands = self._touched, self._small, self._large, self._errands
        while touched or small or large or errands:
            if errands and self._run_errand(end):
                return True
            while (small or large) and len(touched) < _WALK:
                if small:
                    self._walk(small.popleft())
                if large:
                    self._walk(large.popleft())
            while touched:
                for _ in range(min(_LOOK, len(touched))):
                    touched.popleft().flush()
                if time.perf_counter() > end:
                    return not self.idle
        return False

    def _run_errand(self, end: float) -> bool:
        """Go some steps of the first errand; return whether the time is up."""
        steps = self._errands[0]
        try:
            for _ in range(_LOOK):
                next(steps)
            self._errands.rotate(-1)
        except StopIteration:
            self._errands.popleft()
        except Exception:  # a bug in one errand must not end the others
            self._errands.popleft()
            _log.exception("an errand failed")
        return time.perf_counter() > end

    def _queue(self, room: Room) -> None:
        turn = room.turn
        left = len(room.live) if turn is None else len(turn.recipients) - turn.walked
        (self._small if left <= _WALK else self._large).append(room)

    def _walk(self, room: Room) -> None:
        """Let a room go on with its turn, a few members far, and stand behind the others."""
        turn = room.turn
        try:
            turn = turn or room.begin_turn()
            if turn is None:
                room.busy = False
                return
            self._touched.extend(turn.put(_WALK))
            done = turn.done
        except Exception:  # a bug in one turn must not end the others
            _log.exception("a turn of the room %r failed", room.name)
            done = True
        if turn is None:
            room.give_up()
        elif done:
            room.end_turn(turn)
            now = time.perf_counter()
            self.turn_times.observe(now - turn.began)
            self.delivered += turn.posts * len(turn.recipients)
            if turn.posts:
                self.heard_times.observe(now - turn.came)
            if not room.waiting:
                room.busy = False
                return
        self._queue(room)
