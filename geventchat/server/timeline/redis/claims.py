"""Whose each client and each nick is, over all nodes of a store.

What this node asks is asked in one order, by one script at a time, as turns are: numbered, so that
a question whose answer was lost is answered the same again. So giving a nick back never waits, and
whoever asks for it next is not refused because of that.
"""

import logging
import secrets
import time
import unicodedata
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import gevent
import msgspec
from gevent.event import AsyncResult

from geventchat.protocol import names
from geventchat.protocol.errors import REPLACED, Ending, Refused
from geventchat.server.timeline.redis.backoff import pauses
from geventchat.server.timeline.redis.engine import Away, EngineError, InDoubt
from geventchat.server.timeline.redis.feed import Feed, Fields
from geventchat.server.timeline.redis.life import Fenced, LifeEnded
from geventchat.server.timeline.redis.rooms import FeedId, feed_id
from geventchat.server.timeline.redis.scripts import Script
from geventchat.server.timeline.redis.stored import string
from geventchat.server.timeline.redis.writer import Writer

CLAIMS: Final = Script("claims")
_AT_ONCE: Final = 64
_WAIT_SECONDS: Final = 10.0
"""How long a client waits for an engine that does not answer."""
_GUESTS: Final = 1_000
"""Numbers of guests that a node takes at once,"""
_FEW_GUESTS: Final = 500
"""and how many are left when it asks for more."""
_ODD_GUESTS: Final = 10**15
"""Where numbers begin that are drawn by lot; no node gets that far by counting."""
_SWEEP_SECONDS: Final = 60.0
"""How long a client that comes back may have the nick that a node held which has ended."""
_SWEPT: Final = 100
_SWEEP_PAUSE: Final = 0.01
_IN_USE, _SIMILAR, _MOVED = 1, 2, 3
_OF_ACCOUNT: Final = -1

_log = logging.getLogger(__name__)

_Value: TypeAlias = str | int | bytes | bool


@dataclass(eq=False, slots=True)
class _Asked:
    """Something that the script is to decide."""

    what: str
    about: tuple[_Value, ...]
    answer: "AsyncResult[tuple[Any, FeedId | None]]" = field(default_factory=AsyncResult)
    then: Callable[[Any], None] | None = None
    """Called with the answer, as nobody waits for it. Never waits."""
    given_up: bool = False
    """Whether whoever asked has ended, or was refused: not asked any more, if it was not yet."""


class Claims:
    """The clients and nicks of this node among all. What waits says so."""

    def __init__(
        self, writer: Writer, feed: Feed, hear_moved: Callable[[bytes, str], None]
    ) -> None:
        """`hear_moved` is called with a client that is another node's now."""
        self._writer = writer
        self._feed = feed
        self._hear_moved = hear_moved
        self._number = 0
        self._queue: deque[_Asked] = deque()
        self._agent: gevent.Greenlet[[], None] | None = None
        """Asks, while there is anything to ask."""
        self._ended = False
        """Whether this node has no lease any more."""
        self._entering: Counter[bytes] = Counter()
        """How often each client is entering at present."""
        self._overtaken: dict[bytes, FeedId] = {}
        """Where in the feed those of them have moved elsewhere."""
        self._left: set[bytes] = set()
        """Those of them that this node has given up meanwhile."""
        self._guests: Iterator[int] = iter(())
        self._guests_left = 0
        self._highest_guest = 0
        self._fetching = False
        self._sweeper: gevent.Greenlet[[], None] | None = None

    def begin(self) -> None:
        """Take the first numbers of guests, and compare the tables of Unicode. Waits."""
        self._fetching = True
        first = [
            _Asked("guests", (_GUESTS, 0), then=self._take_guests),
            _Asked("unicode", (unicodedata.unidata_version,), then=_compare_unicode),
        ]
        try:
            self._decide(first)
        except (EngineError, Fenced, LifeEnded):
            for each in first:
                self._queue_up(each)

    def close(self) -> None:
        """Ask nothing more. Never waits."""
        self._end()
        for each in (self._agent, self._sweeper):
            if each is not None:
                each.kill(block=False)

    # Hearing

    def hear(self, place: FeedId, fields: Fields, *, own: bool) -> None:
        """Follow an entry of the feed which says that a client has moved. Never waits."""
        if own:
            return
        client = fields[b"c"]
        if client in self._entering:
            self._overtaken[client] = place
        self._hear_moved(client, fields[b"n"].decode())

    def hear_gone(self) -> None:
        """Have what belonged to a node that has ended deleted after a while. Never waits."""
        if self._sweeper is None and not self._ended:
            self._sweeper = gevent.spawn_later(_SWEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        """Delete what belonged to nodes that have ended, in steps. Waits."""
        self._sweeper = None
        cursor = None
        while cursor != "0":
            try:
                cursor = self._ask("sweep", cursor or "0", _SWEPT)
            except Refused:
                self.hear_gone()
                return
            gevent.sleep(_SWEEP_PAUSE)

    # Clients

    def catch_up(self) -> None:
        """See Nodes. Waits."""
        self._ask("known", string(b""))  # no client is called that

    def known(self, client: bytes) -> str | None:
        """See Nodes. Waits."""
        return self._ask("known", string(client)) or None

    def enter(self, client: bytes, guest: str, former: str | None, *, account: bool) -> str | None:
        """See Nodes. Waits."""
        nick = former is not None and former
        folded, skeleton = _forms(former) if former is not None else ("", "")
        asked = _Asked("enter", (string(client), guest, nick, folded, skeleton, account))
        self._entering[client] += 1
        try:
            nick, text, _ = self._answer(asked)
            place = feed_id(text.encode()) if text else (0, 0)
            if self._overtaken.get(client, place) > place:
                raise Ending(REPLACED)
            self._left.discard(client)
        except Ending as ending:
            if ending.reason is not REPLACED:
                self._give_up(client, asked)
            raise
        except BaseException:
            self._give_up(client, asked)
            raise
        finally:
            self._entering[client] -= 1
            if not self._entering[client]:
                del self._entering[client]
                self._overtaken.pop(client, None)
                if client in self._left:
                    self.leave(client)
        return nick or None

    def _give_up(self, client: bytes, asked: _Asked) -> None:
        """Have a client that does not get in leave, if it was not here before."""

        def leave(answer: Any) -> None:
            if answer is not None and answer[2]:
                self.leave(client)

        if asked.answer.value is not None:
            leave(asked.answer.value[0])
        else:  # it may be decided nevertheless
            asked.then = leave

    def hold(self, client: bytes, seconds: float) -> None:
        """See Nodes."""
        self._queue_up(_Asked("hold", (string(client), round(seconds * 1000))))

    def leave(self, client: bytes) -> None:
        """See Nodes."""
        if client in self._entering:  # a moment later it is here again
            self._left.add(client)
        else:
            self._left.discard(client)
            self._queue_up(_Asked("leave", (string(client),)))

    # Nicks

    def check(self, nick: str) -> None:
        """See Nodes. Waits."""
        self._judge(nick, self._ask("check", nick, *_forms(nick)))

    def claim(self, nick: str, client: bytes) -> None:
        """See Nodes. Waits."""
        self._judge(nick, self._ask("claim", nick, *_forms(nick), string(client)))

    def reserve(self, nick: str, client: bytes | None = None) -> None:
        """See Nodes. Waits."""
        owner = client is not None and string(client)
        try:
            judgement = self._ask("reserve", nick, *_forms(nick), owner)
        except BaseException:  # it may be decided nevertheless
            self.restore(nick, client)
            raise
        self._judge(nick, judgement)

    def restore(self, nick: str, client: bytes | None, former: str | None = None) -> None:
        """See Nodes."""
        owner = client is not None and string(client)
        former = former or ""
        about = nick, names.fold(nick), owner, former, _forms(former)[0]
        self._queue_up(_Asked("restore", about))

    def unclaim(self, nick: str) -> None:
        """See Nodes."""
        if folded := _forms(nick)[0]:
            self._queue_up(_Asked("unclaim", (folded,)))

    @staticmethod
    def _judge(nick: str, judgement: list[Any]) -> None:
        """Raise Refused if a nick cannot be had."""
        kind, *way = judgement
        if kind == _IN_USE:
            raise Refused("nick_in_use", f"The nick {nick} {_whose(way[0])}. Choose another.")
        if kind == _SIMILAR:
            text = f"The nick {nick} looks like {way[1]}, which {_whose(way[0])}."
            raise Refused("nick_too_similar", f"{text} Choose another.")
        if kind == _MOVED:  # the node that has the client tells it
            raise _refused()

    # Guests

    def next_guest(self) -> int:
        """Return the number of a guest that no node has used or will use. Never waits.

        If the engine is away for so long that there is none left, one is drawn by lot, so large
        that it is hardly drawn twice.
        """
        if self._guests_left <= _FEW_GUESTS and not self._fetching:
            self._fetching = True
            about = _GUESTS, self._highest_guest
            self._queue_up(_Asked("guests", about, then=self._take_guests))
        number = next(self._guests, None)
        if number is None:
            return _ODD_GUESTS + secrets.randbelow(9 * _ODD_GUESTS)
        self._guests_left -= 1
        return number

    def _take_guests(self, last: int) -> None:
        left = list(self._guests)
        fresh = range(last - _GUESTS + 1, last + 1)
        self._guests = iter([*left, *fresh])
        self._guests_left = len(left) + len(fresh)
        self._highest_guest = last
        self._fetching = False

    # Asking

    def _ask(self, what: str, *about: _Value) -> Any:
        return self._answer(_Asked(what, about))

    def _answer(self, asked: _Asked) -> Any:
        """Return an answer, when all was heard that was there before it. Waits. Raises Refused."""
        self._queue_up(asked)
        until = time.monotonic() + _WAIT_SECONDS
        try:
            asked.answer.wait(_WAIT_SECONDS)
        finally:
            asked.given_up = not asked.answer.ready()
        answer, last = asked.answer.value or _REFUSED
        if last is None or not self._feed.wait(last, max(until - time.monotonic(), 0)):
            raise _refused()
        return answer

    def _queue_up(self, asked: _Asked) -> None:
        if self._ended:
            asked.answer.set(_REFUSED)
            return
        self._queue.append(asked)
        if self._agent is None:
            self._agent = gevent.spawn(self._ask_all)
            self._agent.name = "claims"

    def _ask_all(self) -> None:
        try:
            while self._queue:
                self._ask_next()
        except Fenced:
            self._end()
        finally:
            self._agent = None
            if self._queue:  # after a bug
                self._queue_up(self._queue.pop())

    def _end(self) -> None:
        self._ended = True
        for each in self._queue:
            each.answer.set(_REFUSED)
        self._queue.clear()

    def _ask_next(self) -> None:
        """Ask what is queued, some of it at once. Waits. Raises Fenced."""
        batch: list[_Asked] = []
        while self._queue and len(batch) < _AT_ONCE:
            asked = self._queue.popleft()
            if not asked.given_up:
                batch.append(asked)
        if batch:
            try:
                self._decide_surely(batch)
            finally:
                for each in batch:
                    if not each.answer.ready():
                        each.answer.set(_REFUSED)

    def _decide_surely(self, batch: list[_Asked]) -> None:
        """Ask until there is an answer, without what was given up before it was sent."""
        waits, doubtful = pauses(), False
        self._number += 1
        while batch:
            try:
                self._decide(batch)
            except LifeEnded:
                continue
            except (Away, InDoubt) as error:
                doubtful = doubtful or isinstance(error, InDoubt)
                gevent.sleep(next(waits))
                if not doubtful:
                    batch[:] = [each for each in batch if not each.given_up]
            except EngineError as error:
                _log.error("deciding about %d clients or nicks failed: %s", len(batch), error.text)
                return
            else:
                return

    def _decide(self, batch: list[_Asked]) -> list[Any]:
        """Have the script decide; pass its answers on, and return them."""
        blob = msgspec.msgpack.encode([(each.what, *each.about) for each in batch])
        last, packed = self._writer.run(CLAIMS, self._number, blob)
        answers: list[Any] = msgspec.msgpack.decode(packed)
        for asked, answer in zip(batch, answers, strict=True):
            asked.answer.set((answer, feed_id(last)))
            if asked.then is not None:
                asked.then(answer)
        return answers


_REFUSED: Final[tuple[Any, FeedId | None]] = (None, None)
"""The answer to what cannot be decided."""


def _refused() -> Refused:
    return Refused("storage", "The server could not read or write its database.")


def _compare_unicode(versions: list[str]) -> None:
    """Warn if nodes fold nicks by different tables."""
    if others := {*versions} - {unicodedata.unidata_version}:
        _log.warning(
            "other nodes have other tables of Unicode (%s; here %s): two nicks may be one to them",
            ", ".join(sorted(others)), unicodedata.unidata_version,
        )  # fmt: skip


def _forms(nick: str) -> tuple[str, str]:
    """Return a nick folded, and its skeleton; empty for a guest's name, which needs no claim."""
    if nick.startswith(names.GUEST):
        return "", ""
    return names.fold(nick), names.skeleton(nick)


def _whose(held_ms: int) -> str:
    """Return why a nick cannot be had: it is an account's, in use, or held for so long."""
    if held_ms == _OF_ACCOUNT:
        return "belongs to an account"
    if not held_ms:
        return "is in use"
    seconds = max(-(-held_ms // 1000), 1)
    return f"is held for its former user for {seconds} more seconds"
