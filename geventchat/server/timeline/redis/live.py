"""What nodes tell each other beside the feed: who is in which room, and what may be lost.

Each node is the only writer of its own part. What changes there is stored and published by one
script, with a number; so a node that has missed something notices, and reads the whole part. What
is queued while the engine answers goes with the next script.

The feed comes on another connection. So what is published says how far its node had heard the feed:
others take it when they have heard that as well. Else somebody's leave could overtake their posts.
"""

import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

import gevent
import msgspec
from gevent.event import Event

from geventchat.server.timeline.nodes import (
    Answered,
    Asked,
    Came,
    Counted,
    Directed,
    Listener,
    Message,
    Part,
    Resumed,
    Typed,
    Went,
)
from geventchat.server.timeline.redis.backoff import pauses
from geventchat.server.timeline.redis.engine import EngineError
from geventchat.server.timeline.redis.errors import InDoubt
from geventchat.server.timeline.redis.feed import Feed
from geventchat.server.timeline.redis.life import Life, LifeEnded
from geventchat.server.timeline.redis.parts import NewField, OwnPart, read_part
from geventchat.server.timeline.redis.rooms import FeedId
from geventchat.server.timeline.redis.scripts import Script
from geventchat.server.timeline.redis.stored import string
from geventchat.server.timeline.redis.subscription import Subscription
from geventchat.server.timeline.redis.url import Where
from geventchat.server.timeline.redis.writer import Writer

_AT_ONCE: Final = 512
"""Changes and messages in one script."""
_MOST_QUEUED: Final = 10_000
"""Beyond so many changes the whole part is written instead, and messages are lost."""
_MEET_SECONDS: Final = 3.0
_MEET_PAUSE: Final = 0.005
_WRITE_SECONDS: Final = 0.5
"""How long after it has heard of another node one may take to write its part."""
_LOOK_SECONDS: Final = 1.0
"""How often a node looks whether it has heard everything."""
_FEED_SECONDS: Final = 2.0
"""How long to wait for the feed; it is not waited for if it was silent for as long, so is away."""

SHARE: Final = Script("share")
_NUMBERS: Final = Script("numbers")
_PART: Final = Script("part")

_log = logging.getLogger(__name__)

_Item: TypeAlias = Came | Went | Counted | Typed | Resumed | Directed | Asked | Answered
_PARTS: Final = (Came, Went, Counted)


class _Published(msgspec.Struct, array_like=True):
    """What one script has published."""

    node: str
    number: int
    """Of the change of the node's part; 0: only messages."""
    whole: bool
    """Whether the part has to be read."""
    items: list[tuple[str | None, _Item]]
    """Changes and messages in their order, each with the node that it is for; None: all."""
    passed: FeedId
    """The last entry of the feed that the node had heard."""


class _Queued(NamedTuple):
    """Something to tell."""

    to: str | None
    item: _Item
    fields: Sequence[NewField] = ()
    """Fields of the part, with their new values."""


_encode: Final = msgspec.msgpack.Encoder().encode
_published: Final = msgspec.msgpack.Decoder(_Published)


class Live:
    """This node's part, and what it hears of the others. Nothing waits unless it says so."""

    def __init__(self, where: Where, life: Life, writer: Writer, feed: Feed) -> None:
        """`writer` has a connection of its own."""
        self._life = life
        self._writer = writer
        self._feed = feed
        self._channel = f"{{gc}}:live:{where.database}"
        self._subscription = Subscription(
            where, life.name, self._channel, self._read_all, self._hear
        )
        self.listener: Listener | None = None
        self._part = OwnPart()
        self._queue: deque[_Queued] = deque()
        self._count = 0
        """How many of them are being told, and are told again if that fails."""
        self._number = 0
        self._life_of_part = -1
        """In which life the whole part was written; another than the present: it was not."""
        self._wake = Event()
        self._heard: dict[str, int] = {}
        """The number up to which the part of each other node is known."""
        self._behind: dict[str, list[_Published]] = {}
        """Nodes whose parts have to be read, and what was heard of them since."""
        self._seen: dict[str, int] = {}
        """What the numbers of the others were at the last look."""
        self._gone: set[str] = set()
        self._look = Event()

    # Telling

    def share(self, change: Part) -> None:
        """Change this node's part."""
        fields = self._part.apply(change)
        self._put(_Queued(None, change, fields))

    def tell(self, message: Message, node: str | None = None) -> None:
        """Tell one node something, or all others. It may be lost."""
        self._put(_Queued(node, message))

    def _put(self, queued: _Queued) -> None:
        if not self._life.others:  # the whole part is written when somebody comes
            self._life_of_part = -1
            return
        if len(self._queue) >= _MOST_QUEUED:
            self._queue.clear()
            self._count = 0
            self._life_of_part = -1
        self._queue.append(queued)
        self._wake.set()

    def run(self) -> None:
        """Tell what is queued, until killed. Waits. Raises Fenced."""
        waits = pauses()
        while True:
            self._wake.wait()
            self._wake.clear()
            while self._has_news:
                try:
                    self._tell_next()
                    waits = pauses()
                except EngineError:
                    gevent.sleep(next(waits))
                except LifeEnded:
                    pass

    @property
    def _has_news(self) -> bool:
        return bool(self._life.others) and (
            bool(self._queue) or self._life_of_part != self._life.number
        )

    def _tell_next(self) -> None:
        """Tell what was queued first. Waits. Raises EngineError, LifeEnded, Fenced."""
        if self._life_of_part != self._life.number:
            self._write_whole()
            return
        self._count = count = self._count or min(len(self._queue), _AT_ONCE)
        batch = [self._queue[place] for place in range(count)]
        fields = {field: value for each in batch for field, value in each.fields}
        changes = any(isinstance(each.item, _PARTS) for each in batch)
        number = self._number + 1 if changes else 0
        items = [(each.to, each.item) for each in batch]
        message = _encode(_Published(self._life.node, number, False, items, self._feed.passed))
        try:
            last = self._run_share(number, 0, message, fields)
        except InDoubt:
            self._forget_directs()
            raise
        if last != number:
            self._life_of_part = -1
            return
        self._number = max(self._number, number)
        if self._count:  # else too much was queued meanwhile
            self._count = 0
            for _ in range(count):
                self._queue.popleft()

    def _forget_directs(self) -> None:
        """Tell no direct message again that may have been heard: it is heard once at most."""
        batch = [self._queue.popleft() for _ in range(self._count)]
        rest = [each for each in batch if not isinstance(each.item, Directed)]
        self._queue.extendleft(reversed(rest))
        self._count = len(rest)

    def _write_whole(self) -> None:
        """Write the whole part, which others read then. Waits. Raises as `_tell_next`."""
        # Another number each time: an attempt whose answer was lost may have been read.
        self._number = number = self._number + 1
        life, self._count = self._life.number, 0
        waiting = [each for each in self._queue if not isinstance(each.item, _PARTS)]
        self._queue = deque(waiting)
        message = _encode(_Published(self._life.node, number, True, [], self._feed.passed))
        self._life_of_part = life  # what is changed from here on comes after it
        try:
            self._run_share(number, 1, message, dict(self._part.fields()))
        except BaseException:
            self._life_of_part = -1
            raise

    def _run_share(
        self, number: int, whole: int, message: bytes, fields: dict[bytes, bytes | None]
    ) -> int:
        flat = [part for field, value in fields.items() if value is not None
                for part in (field, value)]  # fmt: skip
        deleted = [field for field, value in fields.items() if value is None]
        last: int = self._writer.run(
            SHARE, self._channel, number, whole, message, _as_strings(flat), _as_strings(deleted)
        )
        return last

    # Hearing

    def listen(self) -> None:
        """Hear what others tell, until killed. Waits."""
        self._subscription.run()

    def watch(self) -> None:
        """Read what was missed, until killed. Waits. Raises Fenced."""
        waits, next_look = pauses(), time.monotonic()
        while True:
            self._look.wait(max(next_look - time.monotonic(), 0))
            self._look.clear()
            try:
                if time.monotonic() >= next_look:
                    next_look = time.monotonic() + _LOOK_SECONDS
                    self._look_around()
                for node in list(self._behind):
                    self._read(node)
                waits = pauses()
            except EngineError:
                gevent.sleep(next(waits))
                self._look.set()
            except LifeEnded:
                self._look.set()

    def meet(self) -> None:
        """Wait until the parts of all others have been read, for up to 3 s.

        A node writes its whole part when it hears of another one; its number is above 0 then. One
        that was alone and was killed never will.
        """
        began = time.monotonic()
        while (waited := time.monotonic() - began) < _MEET_SECONDS:
            others = [node for node in self._life.others if node not in self._gone]
            least = int(waited < _WRITE_SECONDS)
            if all(
                self._heard.get(node, -1) >= least and node not in self._behind for node in others
            ):
                return
            gevent.sleep(_MEET_PAUSE)

    def note_others(self) -> None:
        """Note that other nodes may live than a moment ago."""
        self._wake.set()

    def forget(self, node: str) -> None:
        """Hear nothing more of a node that has ended."""
        self._gone.add(node)
        for known in (self._heard, self._behind, self._seen):
            known.pop(node, None)

    def close(self) -> None:
        """End the connections."""
        self._subscription.reconnect()
        self._writer.close()

    def _read_all(self) -> None:
        """Have all parts read: something may have been missed."""
        for node in {*self._life.others, *self._heard} - self._gone:
            self._fall_behind(node)

    def _fall_behind(self, node: str) -> None:
        self._behind.setdefault(node, [])
        self._look.set()

    def _hear(self, data: bytes) -> None:
        """Take what another node has published. Waits for up to 2 s, for the feed."""
        try:
            published = _published.decode(data)
        except ValueError:  # of a later version, or of no geventchat at all
            _log.warning("what another node said cannot be read")
            return
        node = published.node
        if node == self._life.node:
            return
        if self._feed.silent_seconds < _FEED_SECONDS:
            self._feed.wait(published.passed, _FEED_SECONDS)
        if node in self._gone:
            return
        heard = self._heard.get(node, -1)
        if node in self._behind:
            self._hear_later(published)
        elif not published.number or published.number <= heard:  # the part is known
            self._take(published, parts=False)
        elif published.whole or published.number != heard + 1:
            self._fall_behind(node)
            self._hear_later(published)
        else:
            self._heard[node] = published.number
            self._take(published)

    def _hear_later(self, published: _Published) -> None:
        waiting = self._behind[published.node]
        if len(waiting) >= _MOST_QUEUED // 10:
            waiting.clear()
        waiting.append(published)
        if published.whole:
            self._look.set()

    def _take(self, published: _Published, *, parts: bool = True) -> None:
        """Hand on what was heard, in its order."""
        if self.listener is None:
            return
        changes: list[Part] = []
        for to, item in published.items:
            if isinstance(item, _PARTS):
                if parts:
                    changes.append(item)
            elif to is None or to == self._life.node:
                if changes:
                    self.listener.hear_part(published.node, changes, whole=False)
                    changes = []
                self.listener.hear_message(published.node, item)
        if changes:
            self.listener.hear_part(published.node, changes, whole=False)

    def _look_around(self) -> None:
        """Find out whose parts are not known to the end. Waits. Raises EngineError and others."""
        others = list(self._life.others)
        if not others:
            return
        own, *numbers = self._writer.run(_NUMBERS, self._life.node, *others)
        if own < self._number:  # somebody deleted it
            self._life_of_part = -1
        if self._life_of_part != self._life.number:
            self._wake.set()
        for node, number in zip(others, numbers, strict=True):
            # What is there for a second should have been heard.
            if node not in self._gone and self._heard.get(node, -1) < self._seen.get(node, 0):
                if node in self._heard and node not in self._behind:
                    self._subscription.reconnect()
                self._fall_behind(node)
            self._seen[node] = number

    def _read(self, node: str) -> None:
        """Read the whole part of a node, and take what was heard since. Waits."""
        fields = self._writer.run(_PART, node)
        if node not in self._behind:  # it has ended meanwhile
            return
        if not fields and self._heard.get(node):  # it has ended, or is about to write it again
            return
        waiting = self._behind.pop(node)
        self._heard[node], changes = read_part(fields)
        if self.listener is not None:
            self.listener.hear_part(node, changes, whole=True)
        for published in waiting:
            if node in self._behind:
                self._hear_later(published)
            elif published.number <= self._heard[node]:
                self._take(published, parts=False)
            elif published.number == self._heard[node] + 1 and not published.whole:
                self._heard[node] = published.number
                self._take(published)
            else:
                self._fall_behind(node)
                self._hear_later(published)


def _as_strings(values: Sequence[bytes]) -> bytes:
    """Return msgpack of strings as the script takes them: Lua knows no other bytes."""
    return msgspec.msgpack.encode([string(value) for value in values])
