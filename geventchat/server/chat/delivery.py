"""Delivery: rooms take their turns, in slices so short that a large room delays nobody.

All work on members or sessions shares a budget of 0.5 ms per round of the event loop. The rest
continues in a greenlet that yields between slices. Rooms take steps in rotation; those with few
members have a queue of their own, with one step for each step of a larger room. Within a slice
nothing switches.
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
from geventchat.server.chat.turn import Turn
from geventchat.server.histogram import Histogram
from geventchat.server.participant import Participant
from geventchat.server.slices import SLICE_SECONDS, WRITERS, pause

_STEP: Final = 64
"""Members that a room visits in one step, between two checks of the clock: some 300 us."""
_CLOCK_STEPS: Final = 16
"""Steps of errands between two checks of the clock: some 100 us."""
_NONE: Final[deque[Room]] = deque()
"""No rooms."""

_log = logging.getLogger(__name__)


class Rounds(Protocol):
    """The part of the event loop that delivery uses."""

    @property
    def iteration(self) -> int:
        """The number of the current round."""


class Delivery:
    """Rooms with pending events, and outboxes that are not flushed yet."""

    def __init__(self) -> None:
        self._small: deque[Room] = deque()
        """Rooms that need one step for all their members."""
        self._large: deque[Room] = deque()
        """Rooms that need more steps."""
        self._errands: deque[Iterator[None]] = deque()
        """Other work, in small steps."""
        self._more = Event()
        self._loop: Rounds = gevent.get_hub().loop  # libev has it
        self._clock = time.perf_counter  # of the budget
        self._working = False
        self._round = -1
        """The round of the event loop that the budget is for."""
        self._left = 0.0
        self.turn_times = Histogram()
        """Duration of turns, yields included."""
        self.delivery_times = Histogram()
        """Time from receiving the first message of a turn to its last recipient."""
        self.delivered = 0
        """Number of deliveries: posts times recipients."""

    def start(self) -> None:
        """Start the greenlet for work that exceeds the budget of a round."""
        self.greenlet = gevent.spawn(self._run)
        self.greenlet.name = "delivery"

    @property
    def idle(self) -> bool:
        """Whether no work is left."""
        return not (self._small or self._large or self._errands)

    def add(self, room: Room) -> None:
        """Queue a room for turns until it has nothing pending; the caller then calls `work`."""
        if not room.busy:
            room.busy = True
            self._queue(room)

    def tell(self, room: Room, event: events.Event, exclude: Participant | None = None) -> None:
        """Send an event to the rich members of a room in its next turn; then call `work`."""
        if room.tell(event, exclude):
            self.add(room)

    def errand(self, steps: Iterator[None]) -> None:
        """Queue other work in small steps, within the budget; then call `work`."""
        self._errands.append(steps)

    def work(self) -> None:
        """Work for the budget of this round; a greenlet continues with the rest. Never waits."""
        if self._slice():
            self._more.set()

    def _run(self) -> None:
        while True:
            self._more.wait()
            self._more.clear()
            while self._slice():
                pause()

    def _slice(self) -> bool:
        """Work for the rest of the budget; return whether any work is left."""
        if self._working:  # an errand added events to rooms: the slice it runs in continues
            return False
        iteration = self._loop.iteration
        if iteration != self._round:
            self._round = iteration
            self._left = SLICE_SECONDS
        elif self._left <= 0:
            return not self.idle
        end = self._clock() + self._left
        self._working = True
        try:
            more = self._work_until(end)
        finally:
            self._working = False
        self._left = end - self._clock()
        return more

    def _work_until(self, end: float) -> bool:
        """Work until a time of the clock; return whether any work is left."""
        small, large, errands = self._small, self._large, self._errands
        while small or large or errands:
            if errands and self._run_errand(end):
                return True
            # What is put for large rooms while writers wait would only fill outboxes.
            ready = _NONE if WRITERS.busy else large
            if small:
                self._walk(small.popleft())
            if ready:
                self._walk(ready.popleft())
            if not (small or ready or errands) or self._clock() > end:
                return not self.idle
        return False

    def _run_errand(self, end: float) -> bool:
        """Run some steps of the first errand; return whether the time is up."""
        steps = self._errands[0]
        try:
            for _ in range(_CLOCK_STEPS):
                next(steps)
            self._errands.rotate(-1)
        except StopIteration:
            self._errands.popleft()
        except Exception:  # a bug in one errand must not end the others
            self._errands.popleft()
            _log.exception("an errand failed")
        return self._clock() > end

    def _queue(self, room: Room) -> None:
        (self._small if len(room.live) <= _STEP else self._large).append(room)

    def _walk(self, room: Room) -> None:
        """Continue a room's turns by one step, and queue the room behind the others."""
        ended: list[Turn] = []
        try:
            room.begin_turn()
            if room.walk.turns:
                ended = room.reach(_STEP)
        except Exception:  # a bug in one room must not end the others
            _log.exception("a turn of the room %r failed", room.shown)
            room.give_up()
        for turn in ended:
            now = time.perf_counter()
            self.turn_times.observe(now - turn.began)
            self.delivered += turn.posts * turn.recipients
            if turn.posts:
                self.delivery_times.observe(now - turn.submitted_at)
        if room.walk.turns or room.waiting:
            self._queue(room)
        else:
            room.busy = False
