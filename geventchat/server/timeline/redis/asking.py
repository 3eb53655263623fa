"""Asks the engine about clients and nicks, in one order, one script at a time.

As with turns a question has a number, and one whose answer was lost is answered the same again. So
giving a nick back needs no answer, and whoever asks for it next is not refused because of that.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import gevent
import msgspec
from gevent.event import AsyncResult

from geventchat.protocol.errors import Refused
from geventchat.server.timeline.redis.backoff import pauses
from geventchat.server.timeline.redis.engine import Away, EngineError, InDoubt
from geventchat.server.timeline.redis.feed import Feed
from geventchat.server.timeline.redis.life import Fenced, LifeEnded
from geventchat.server.timeline.redis.rooms import FeedId, feed_id
from geventchat.server.timeline.redis.scripts import Script
from geventchat.server.timeline.redis.writer import Writer

CLAIMS: Final = Script("claims")
_AT_ONCE: Final = 64
_WAIT_SECONDS: Final = 8.0
"""How long a client waits for the answer, from its hello on: most give up after 10 s."""

_log = logging.getLogger(__name__)

Value: TypeAlias = str | int | bytes | bool


@dataclass(eq=False, slots=True)
class Question:
    """Something that the script is to decide."""

    what: str
    about: tuple[Value, ...]
    then: Callable[[Any], None] | None = None
    """Called with the answer, as nobody waits for it. Never waits."""
    answer: "AsyncResult[tuple[Any, FeedId | None]]" = field(default_factory=AsyncResult)
    given_up: bool = False
    """Whether whoever asked has ended, or was refused: not asked any more, if it was not yet."""


class Asking:
    """The questions of this node, on their way. What waits says so."""

    def __init__(self, writer: Writer, feed: Feed) -> None:
        self._writer = writer
        self._feed = feed
        self._number = 0
        self._queue: deque[Question] = deque()
        self._agent: gevent.Greenlet[[], None] | None = None
        """Asks, while there is anything to ask."""
        self._ended = False
        """Whether this node has no lease any more."""

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way."""
        return self._agent is None

    def begin(self, *first: Question) -> None:
        """Ask something before all else, now if the engine is there, else later. Waits."""
        try:
            self._decide(first)
        except (EngineError, Fenced, LifeEnded):
            for each in first:
                self.put(each)

    def close(self) -> None:
        """Ask nothing more. Never waits."""
        self._end()
        if self._agent is not None:
            self._agent.kill(block=False)

    def put(self, question: Question) -> None:
        """Ask something after all that was asked before. Never waits."""
        if self._ended:
            question.answer.set(_NO_ANSWER)
            return
        self._queue.append(question)
        if self._agent is None:
            self._agent = gevent.spawn(self._ask_all)
            self._agent.name = "claims"

    def answer(self, question: Question, since: float | None = None) -> Any:
        """Ask something; return the answer, when all was heard that was there before it. Waits.

        `since`: when the client began to wait, by the monotonic clock, if that is not now. Raises
        Refused `storage`.
        """
        until = (time.monotonic() if since is None else since) + _WAIT_SECONDS
        if (seconds := until - time.monotonic()) <= 0:
            raise refusal()
        self.put(question)
        try:
            question.answer.wait(seconds)
        finally:
            question.given_up = not question.answer.ready()
        answer, last = question.answer.value or _NO_ANSWER
        if last is None or not self._feed.wait(last, max(until - time.monotonic(), 0)):
            raise refusal()
        return answer

    def _end(self) -> None:
        self._ended = True
        for each in self._queue:
            each.answer.set(_NO_ANSWER)
        self._queue.clear()

    def _ask_all(self) -> None:
        try:
            while self._queue:
                self._ask_next()
        except Fenced:  # which the beat finds out, too
            self._end()
        finally:
            self._agent = None
            if self._queue:  # after a bug
                self.put(self._queue.pop())

    def _ask_next(self) -> None:
        """Ask what is queued, some of it at once. Waits. Raises Fenced."""
        batch: list[Question] = []
        while self._queue and len(batch) < _AT_ONCE:
            question = self._queue.popleft()
            if not question.given_up:
                batch.append(question)
        try:
            self._decide_surely(batch)
        finally:
            for each in batch:
                if not each.answer.ready():
                    each.answer.set(_NO_ANSWER)

    def _decide_surely(self, batch: list[Question]) -> None:
        """Ask until there is an answer, without what was given up before it was sent."""
        waits, doubtful = pauses(), False
        self._number += 1
        while batch:
            try:
                self._decide(batch)
            except LifeEnded:  # whatever was sent counts no more
                doubtful = False
            except (Away, InDoubt) as error:
                doubtful = doubtful or isinstance(error, InDoubt)
                gevent.sleep(next(waits))
            except EngineError as error:
                _log.error("deciding about %d clients or nicks failed: %s", len(batch), error.text)
                return
            else:
                return
            if not doubtful:
                batch[:] = [each for each in batch if not each.given_up]

    def _decide(self, batch: "list[Question] | tuple[Question, ...]") -> None:
        """Have the script decide, and pass its answers on."""

        def asked() -> bytes:
            # Nobody waits for what was given up: it has to decide nothing, unless it has already.
            return msgspec.msgpack.encode(
                [("nothing",) if each.given_up else (each.what, *each.about) for each in batch]
            )

        # The connection may be busy for seconds before this is sent.
        last, packed = self._writer.run(CLAIMS, self._number, asked)
        for question, answer in zip(batch, msgspec.msgpack.decode(packed), strict=True):
            question.answer.set((answer, feed_id(last)))
            if question.then is not None:
                question.then(answer)


_NO_ANSWER: Final[tuple[Any, FeedId | None]] = (None, None)
"""The answer to what cannot be decided."""


def refusal() -> Refused:
    """Return the refusal of what cannot be decided."""
    return Refused("storage", "The server could not read or write its database.")
