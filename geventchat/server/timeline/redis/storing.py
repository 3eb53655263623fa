"""Stores what is submitted on an engine, turn by turn, and says what became of each submission.

One turn is in flight. A turn has a number: one whose answer was lost is asked for again, and stored
once. A verdict is told when the feed has passed the entry that the answer names.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import gevent
from gevent.event import Event

from geventchat.server.histogram import Histogram
from geventchat.server.timeline import Batch, Submission
from geventchat.server.timeline.redis import turn as turns
from geventchat.server.timeline.redis.backoff import pauses
from geventchat.server.timeline.redis.engine import Away, InDoubt, Rejected
from geventchat.server.timeline.redis.feed import Feed
from geventchat.server.timeline.redis.life import Life, LifeEnded
from geventchat.server.timeline.redis.rooms import FeedId, feed_id
from geventchat.server.timeline.redis.scripts import Script
from geventchat.server.timeline.redis.writer import WAIT_SECONDS, Writer

MOST_WAITING: Final = 32 << 20
"""Bytes of submissions that wait to be stored; further ones fail at once."""
_SUBMISSION_BYTES: Final = 400
"""Memory for a submission without its text. Measured, CPython 3.11."""
_TURN_SUBMISSIONS: Final = 512
_TURN_BYTES: Final = 256 << 10

_TURN: Final = Script("turn")

_log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Turn:
    """What was submitted and is on its way, until the feed has passed it."""

    number: int
    submitted: list[Submission]
    since: float
    """When the first of them was submitted, by the monotonic clock."""
    began: float = field(default_factory=time.perf_counter)
    doubtful: bool = False
    """Whether it was sent, and may have been stored."""
    place: FeedId = (0, 0)
    """The entry that the feed has to pass before the verdicts are told."""
    time: int = 0
    results: bytes = b""
    """The answer of the engine, once it is there."""


class Storing:
    """The submissions of this node. `run` waits, and all that it calls; nothing else does."""

    def __init__(
        self,
        writer: Writer,
        life: Life,
        feed: Feed,
        submitted: list[Submission],
        deliver: Callable[[Batch], None],
        store_times: Histogram,
    ) -> None:
        """`submitted`: the list of those that wait to be sent, which this changes."""
        self._writer = writer
        self._life = life
        self._feed = feed
        self._submitted = submitted
        self._deliver = deliver
        self._store_times = store_times
        self._wake = Event()
        self._closing = False
        self._ended = False
        self._since = 0.0
        """When the first of the submissions that wait was submitted."""
        self._bytes = 0
        """Size of what waits."""
        self._overflow: list[int] = []
        """The numbers of submissions for which there is no space."""
        self._number = 0
        self._sent: dict[int, _Turn] = {}
        """Turns whose verdicts are not told, by number; the last may be in flight."""
        self._answered: deque[_Turn] = deque()
        """Those of them that have an answer which is ahead of the feed."""
        self._told = Event()

    def append(self, submission: Submission) -> None:
        """Queue a submission for the next turn."""
        size = _size(submission)
        if self._ended or self._bytes + size > MOST_WAITING:
            if not self._overflow:
                gevent.get_hub().loop.run_callback(self._fail_overflow)
            self._overflow.append(submission.number)
            return
        if not self._submitted:
            self._since = time.monotonic()
            # The event switches to the turns only after every reader that is readable now has run,
            # so one turn takes the submissions of them all.
            self._wake.set()
        self._bytes += size
        self._submitted.append(submission)

    def close(self) -> None:
        """Have `run` return when everything is stored and told."""
        self._closing = True
        self._wake.set()

    def end(self) -> None:
        """Have `run` return: nothing more can be stored."""
        self._ended = True
        self.drop_all()
        self.close()

    def run(self) -> None:
        """Take turns. Raises Fenced."""
        while (turn := self._next_turn()) is not None or self._sent:
            if turn is not None:
                self._store(turn)
            else:  # closing, but what is still to be told may be answered
                self._told.clear()
                self._told.wait()

    def heard(self, number: int) -> list[Submission] | None:
        """Return the submissions of a turn that the feed brings, once: they have their verdicts."""
        turn = self._sent.pop(number, None)
        return None if turn is None else turn.submitted

    def tell(self, batch: Batch) -> None:
        """Deliver what the feed brings."""
        self._told.set()
        self._deliver(batch)

    def judge(self, passed: FeedId) -> None:
        """Tell the verdicts of turns that have stored nothing, up to a place in the feed."""
        while self._answered and self._answered[0].place <= passed:
            turn = self._answered.popleft()
            if self._sent.pop(turn.number, None) is not None:
                self.tell(turns.batch(turn.submitted, turn.time, turn.results))

    def drop_all(self) -> None:
        """Tell everybody who waits that it is not known what was stored."""
        dropped = [each for turn in self._sent.values() for each in turn.submitted]
        dropped += self._take_all()
        self._sent.clear()
        self._answered.clear()
        self.tell(Batch(unknown=[each.number for each in dropped]))

    def _fail_overflow(self) -> None:
        numbers, self._overflow = self._overflow, []
        self._deliver(Batch(failed=numbers))

    def _next_turn(self) -> _Turn | None:
        """Wait for submissions, and begin a turn with the first of them; None: it is closing."""
        while not self._submitted and not self._closing:
            self._wake.clear()
            self._wake.wait()
        count = size = 0
        for each in self._submitted[:_TURN_SUBMISSIONS]:
            if count and size + _size(each) > _TURN_BYTES:
                break
            size += _size(each)
            count += 1
        if not count:
            return None
        self._number += 1
        turn = _Turn(self._number, self._submitted[:count], self._since)
        self._sent[turn.number] = turn
        del self._submitted[:count]
        self._bytes -= size
        self._since = time.monotonic()
        return turn

    def _store(self, turn: _Turn) -> None:
        """Have a turn stored, or give it up. Raises Fenced."""
        try:
            blob, waits = turns.packed(turn.submitted), pauses()
        except Exception:  # a bug
            _log.exception("storing %d messages failed", len(turn.submitted))
            self._give_up(turn, alone=True)
            return
        while turn.number in self._sent:  # else it was heard, or its life has ended
            try:
                place, when, results = self._writer.run(_TURN, turn.number, blob)
            except LifeEnded:
                continue
            except (Away, InDoubt) as error:
                turn.doubtful = turn.doubtful or isinstance(error, InDoubt)
                if time.monotonic() > turn.since + WAIT_SECONDS:
                    self._give_up(turn)
                else:
                    gevent.sleep(next(waits))
            except Rejected as error:
                _log.error("storing %d messages failed: %s", len(turn.submitted), error.text)
                self._give_up(turn, alone=not turn.doubtful)
            else:
                self._store_times.observe(time.perf_counter() - turn.began)
                turn.place, turn.time, turn.results = feed_id(place), int(when), results
                self._life.note(turn.place)
                self._answered.append(turn)
                self.judge(self._feed.passed)
                return

    def _give_up(self, turn: _Turn, *, alone: bool = False) -> None:
        """Tell the authors of a turn what became of it; unless `alone`, all behind it fail, too."""
        if self._sent.pop(turn.number, None) is None:  # the feed brought it a moment ago
            return
        numbers = [each.number for each in turn.submitted]
        waiting = [] if alone else [each.number for each in self._take_all()]
        if turn.doubtful:
            self._deliver(Batch(unknown=numbers, failed=waiting))
        else:
            self._deliver(Batch(failed=numbers + waiting))

    def _take_all(self) -> list[Submission]:
        taken = self._submitted[:]
        self._submitted.clear()
        self._bytes = 0
        return taken


def _size(submission: Submission) -> int:
    return len(submission.text) + _SUBMISSION_BYTES
