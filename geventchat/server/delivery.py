"""Delivery: rooms take their turns, in slices short enough that nobody waits for a large room.

What is handed on with a batch is begun at once; what does not fit in a slice of 2 ms goes on in a
greenlet that yields between slices, rooms in rotation. Within a slice nothing switches.
"""

import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Final

import gevent
from gevent.event import Event

from geventchat.protocol import events
from geventchat.server.outbox import Outbox
from geventchat.server.room import Room
from geventchat.server.times import Times

if TYPE_CHECKING:
    from geventchat.server.session import Session

SLICE_SECONDS: Final = 0.002
_WALK: Final = 64
"""Members that are put to before what was put is flushed: how far a room goes in its rotation."""
_LOOK: Final = 16
"""Flushes between two looks at the clock: some 100 us."""

_log = logging.getLogger(__name__)


class Delivery:
    """Rooms that have something to say, and outboxes that were put to and not yet flushed."""

    def __init__(self) -> None:
        self._ready: deque[Room] = deque()
        self._touched: deque[Outbox] = deque()
        self._more = Event()
        self.turn_times = Times()
        """How long turns took, yields included."""
        self.heard_times = Times()
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
        return not (self._ready or self._touched)

    def add(self, room: Room) -> None:
        """Let a room take turns until nothing more has gathered; then call `work`."""
        if not room.busy:
            room.busy = True
            self._ready.append(room)

    def tell(self, room: Room, event: events.Event, but: "Session | None" = None) -> None:
        """Let the rich members of a room hear an event in its next turn; then call `work`."""
        if room.tell(event, but):
            self.add(room)

    def work(self) -> None:
        """Do what one slice holds; the rest goes on by itself. Never waits."""
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
        """Work for a slice; say whether anything is left."""
        end = time.perf_counter() + SLICE_SECONDS
        touched = self._touched
        while touched or self._ready:
            while self._ready and len(touched) < _WALK:
                self._walk(self._ready.popleft())
            while touched:
                for _ in range(min(_LOOK, len(touched))):
                    touched.popleft().flush()
                if time.perf_counter() > end:
                    return bool(touched or self._ready)
        return False

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
            self.turn_times.note(now - turn.began)
            self.delivered += len(turn.posts) * len(turn.walk)
            if turn.posts:
                self.heard_times.note(now - turn.posts[0][1].came)
        self._ready.append(room)
