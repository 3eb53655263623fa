"""The timeline on Redis or Valkey: what one node stores there, and what it hears from there.

What was stored comes back by the feed, one's own too, so that all nodes hear one order.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from math import inf
from typing import Final

import gevent
import msgspec
from gevent.lock import BoundedSemaphore

from geventchat.config import BadSetting, Limits
from geventchat.protocol.errors import Refused
from geventchat.protocol.events import ListedRoom, Post
from geventchat.server.timeline import Batch, Change, RecordChange, Submission, Timeline
from geventchat.server.timeline.redis import turn as turns
from geventchat.server.timeline.redis.backoff import pauses
from geventchat.server.timeline.redis.beating import Beating
from geventchat.server.timeline.redis.engine import Engine, EngineError
from geventchat.server.timeline.redis.feed import Feed, Fields
from geventchat.server.timeline.redis.keeping import Keeping
from geventchat.server.timeline.redis.life import (
    LEASE_SECONDS,
    LEAVE,
    Begun,
    Fenced,
    InUse,
    Life,
    LifeEnded,
    by,
)
from geventchat.server.timeline.redis.live import Live
from geventchat.server.timeline.redis.maintenance import Maintenance
from geventchat.server.timeline.redis.nodes import RedisNodes
from geventchat.server.timeline.redis.pages import Pages
from geventchat.server.timeline.redis.reader import Reader, RoomState
from geventchat.server.timeline.redis.rooms import FeedId, OpenRooms, Trimmed, feed_id
from geventchat.server.timeline.redis.storing import Storing
from geventchat.server.timeline.redis.url import parse
from geventchat.server.timeline.redis.writer import WAIT_SECONDS, Problem, Writer

RECENT_BYTES: Final = 16 << 20
"""Size of the cache of the newest posts: some 30,000 short ones."""
ENGINE_SECONDS: Final = 5.0
"""How long an answer of the engine may take until the connection is given up."""
_BEAT_SECONDS: Final = 2.0
"""The same for a beat, so that a connection that is half open does not cost this node its lease."""
_DEAF_SECONDS: Final = 10.0
"""After so long without hearing what is there the server is not ready for clients."""
_READ_SECONDS: Final = 5.0
_LEAVE_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


class RedisTimeline(Timeline):
    """Stores everything on the engine at a URL, as one of the nodes that do."""

    def __init__(
        self,
        deliver: Callable[[Batch], None],
        url: str,
        limits: Limits | None = None,
        *,
        recent_bytes: int = RECENT_BYTES,
    ) -> None:
        """Connect. Waits. Raises BadSetting if the engine cannot be used."""
        super().__init__(deliver)
        try:
            self._where = parse(url)
        except ValueError as error:
            raise BadSetting("timeline", url, str(error)) from None
        self._life = Life()
        registering = self._connected()  # until others connect: a node without any may be gone
        first = self._register(registering)
        self.epoch = self._life.adopted = self._life.epoch
        self._problem = Problem(self._where)
        self._writer = self._new_writer()
        self._others = self._new_writer()
        """For what is neither a turn nor a beat, which would wait for it."""
        self._beats = self._new_writer(_BEAT_SECONDS)
        self._feed = Feed(
            lambda: self._connected(self._life.confirm_reading), first, self._hear, self._life
        )
        live = Live(self._where, self._life, self._new_writer(), self._feed)
        self.nodes: RedisNodes = RedisNodes(self._life, self._others, self._feed, live)
        self._reads = self._connected(self._life.confirm_reading)
        self._rooms = OpenRooms()
        self._pages = Pages(self._rooms, Reader(self._reads), recent_bytes)
        self._keeping = Keeping(self._others, self._life, self._feed)
        self._begin()
        registering.close()
        identity = lambda: (self._life.node, self._life.number)  # noqa: E731
        self._maintenance = Maintenance(lambda: self._reads, identity, lambda: self.nodes.leads)
        self.configure(limits or Limits())
        self._storing = Storing(
            self._writer, self._life, self._feed, self._submitted, self._deliver, self.store_times
        )
        self._beating = Beating(self._beats, self._life, self.nodes, self._feed)
        self._renewing = BoundedSemaphore()
        self._helpers: list[gevent.Greenlet[[], None]] = []
        self._spawn("beat", self._beat)  # loading what is stored may take longer than the lease

    def _connected(
        self, confirm: Callable[[Engine], None] | None = None, most: float = inf
    ) -> Engine:
        name, seconds = self._life.name, min(most, ENGINE_SECONDS)
        return Engine(self._where, name=name, seconds=seconds, on_connect=confirm)

    def _new_writer(self, most: float = inf) -> Writer:
        engine = self._connected(self._life.confirm, most)
        with suppress(EngineError, LifeEnded, Fenced):
            engine.call("PING")  # connected, it can be closed at once
        return Writer(engine, self._life, self._problem, self._renew)

    def _register(self, engine: Engine) -> FeedId:
        """Become a node that stores; return where the feed begins for it. Raises BadSetting."""
        try:
            return self._life.register(engine, lone=not self._where.everysec)
        except InUse:
            text = "is in use by `geventchat history`, or by servers that do not answer"
        except EngineError as error:
            text = error.text.removeprefix("IMPORT ")
        engine.close()
        raise BadSetting("timeline", str(self._where), text, temporary=True)

    def _begin(self) -> None:
        """Get what this node needs before clients come. Raises BadSetting."""
        try:
            self.nodes.begin()
        except EngineError as error:
            text = error.text
        except (LifeEnded, Fenced):
            text = "was changed while the server started; start it again"
        else:
            return
        raise BadSetting("timeline", str(self._where), text, temporary=True)

    def configure(self, limits: Limits) -> None:
        self._maintenance.configure(limits)

    @property
    def failing(self) -> bool:
        return self._problem.reason is not None or self._feed.deaf_seconds > _DEAF_SECONDS

    @property
    def feed_holes(self) -> int:
        return self._feed.holes

    @property
    def silent_seconds(self) -> float:
        return self._feed.silent_seconds

    # Rooms

    def open(self, room: str) -> None:
        self._rooms.hold(room)
        try:
            if room not in self._rooms:
                self._load(room)
        except BaseException:
            self._rooms.release(room)
            raise

    def _load(self, room: str) -> None:
        life = self._life.number
        with self._rooms.opening(room) as heard:
            state = self._pages.reader.open(room)
            passed = self._feed.wait(feed_id(state.feed), _READ_SECONDS)
            if not passed or life != self._life.number:
                raise Refused("storage", "The server could not read its database in time.")
            self._rooms.adopt(room, state, heard)

    def hold(self, room: str) -> None:
        self._rooms.hold(room)

    def release(self, room: str) -> None:
        self._rooms.release(room)

    def position(self, room: str) -> int:
        return self._rooms.get(room).top

    def oldest(self, room: str) -> int:
        return self._rooms.get(room).oldest

    def topic(self, room: str) -> str:
        return self._rooms.get(room).topic

    def change(self, room: str) -> int:
        return self._rooms.get(room).change

    # Reading

    def missed(self, room: str, position: int, change: int | None) -> int | None:
        return self._pages.missed(room, position, change)

    def changes(self, room: str, after: int, position: int) -> tuple[list[Change], int]:
        return self._pages.changes(room, after, position)

    def since(self, room: str, after: int, upto: int) -> list[Post]:
        return self._pages.since(room, after, upto)

    def before(self, room: str, end: int, limit: int) -> list[Post]:
        return self._pages.before(room, end, limit)

    def at(self, room: str, positions: Sequence[int]) -> list[Post]:
        return self._pages.reader.at(room, positions)

    def with_topic(self, prefix: str, after: str, limit: int) -> list[ListedRoom]:
        return self._pages.reader.with_topic(prefix, after, limit)

    def newest_posts(self, prefix: str) -> list[tuple[str, int, int]]:
        return self._pages.reader.newest_posts(prefix)

    def records(self, kind: str) -> list[tuple[str, bytes]]:
        return self._pages.reader.records(kind)

    # Storing

    def keep(self, changes: Sequence[RecordChange]) -> None:
        self._keeping.keep(changes)

    def append(self, submission: Submission) -> None:
        self._storing.append(submission)

    def _take_turns(self) -> None:
        try:
            self._storing.run()
        except Fenced as fenced:
            self._lose(fenced)

    # Hearing

    def _hear(self, place: FeedId, fields: Fields) -> None:
        """Follow an entry of the feed, and tell the verdicts that have waited for it."""
        node, number = by(fields)
        if b"b" in fields:
            submitted = None
            if node == self._life.node.encode():
                submitted = self._storing.heard(int(number))
            if submitted is None:
                submitted = turns.unpacked(fields[b"b"])
            batch = turns.batch(submitted, int(fields[b"m"]), fields[b"r"])
            self._follow(place, batch)
            self._storing.tell(batch)
        elif b"x" in fields:
            self._rooms.hear(place, Trimmed(*msgspec.msgpack.decode(fields[b"x"])))
        else:
            self.nodes.hear(place, fields)
        self._life.note(place, (node, number))
        self._storing.judge(place)

    def _follow(self, place: FeedId, batch: Batch) -> None:
        if place <= self._rooms.ahead:  # of others: this node had not begun to store
            batch.entries = [each for each in batch.entries if not self._rooms.has(place, each[0])]
        for entry, number in batch.entries:
            self._rooms.hear(place, entry)
            self._pages.hear(entry)
            if isinstance(entry, Post):
                self.posts_stored += bool(number)
                known = self._rooms.get(entry.room)
                self._maintenance.note_written(entry.room, known.top + 1 - known.oldest)

    # Living

    def start(self) -> None:
        super().start()
        self._spawn("feed", self._feed.run)
        self._spawn("maintenance", self._maintenance.run)
        for name, function in self.nodes.helpers.items():
            self._spawn(name, partial(self._help, function))

    def _help(self, function: Callable[[], None]) -> None:
        try:
            function()
        except Fenced as fenced:
            self._lose(fenced)

    def _spawn(self, name: str, function: Callable[[], None]) -> None:
        greenlet = gevent.spawn(function)
        greenlet.name = name
        self._helpers.append(greenlet)

    @property
    def greenlets(self) -> list["gevent.Greenlet[..., None]"]:
        return [*super().greenlets, *self._helpers]

    def close(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        self._storing.close()
        stored = super().close(seconds)
        gevent.killall(self.greenlets)
        self._feed.close()
        self._reads.close()
        self._keeping.close(max(end - time.monotonic(), 0))
        self.nodes.close()
        self._leave(max(end - time.monotonic(), 0))
        self._beats.close()
        self._others.close()
        self._writer.close()
        return stored and self.lost is None

    def _leave(self, seconds: float) -> None:
        """End the lease, so that the others need not wait for its end."""
        with suppress(EngineError, LifeEnded, Fenced, gevent.Timeout):
            gevent.with_timeout(min(seconds, _LEAVE_SECONDS), self._beats.run, LEAVE)

    def _beat(self) -> None:
        try:
            while True:
                self._beating.next()
                self.posts_trimmed = self._maintenance.trimmed
                if self._feed.broken:
                    self._mend()
        except Fenced as fenced:
            self._lose(fenced)

    def _mend(self) -> None:
        """Go on after something in the feed was missed. Waits. Raises Fenced.

        What another node has stored since may only have been in the feed. So it is a new life if
        no other is there; otherwise the others go on, and clients come back to them.
        """
        try:
            self._life.end(self._reads)
        except EngineError:
            return
        except Fenced:
            raise Fenced(f"something in the feed of {self._where} was missed") from None
        self._renew(self._life.number)

    def _renew(self, ended: int) -> None:
        """Begin a new life after one that has ended, unless that was done. Waits. Raises Fenced."""
        with self._renewing:
            if self._life.number != ended:
                return
            _log.warning("%s lacks what was stored there: new epoch", self._where)
            self._storing.drop_all()
            engine, waits, until = self._connected(), pauses(), time.monotonic() + WAIT_SECONDS
            try:
                while True:
                    try:
                        begun = self._life.join(engine)
                        self._life.get_known(engine, begun)
                        states = self._read_rooms(engine, begun)
                        break
                    except (EngineError, Refused) as error:
                        self._problem.note(str(error))
                        if time.monotonic() > until:
                            until += WAIT_SECONDS
                            self._storing.drop_all()
                        gevent.sleep(next(waits))
            finally:
                engine.close()
            self._reads.close()
            self._reads = self._connected(self._life.confirm_reading)
            self._pages.begin(Reader(self._reads))
            self._rooms.begin(states)
            former = self._life.others
            self._life.begin(begun)
            self.nodes.go_on(former)
            self.epoch = begun.epoch
            self._feed.go_on(begun.place)
            self._storing.drop_all()
            self.epoch_changed()

    def _read_rooms(self, engine: Engine, begun: Begun) -> dict[str, RoomState]:
        """Return the states of the open rooms, beating meanwhile. Raises EngineError, Refused."""
        reader, states = Reader(engine), dict[str, RoomState]()
        last, due = b"", time.monotonic()
        for room in self._rooms.held:
            states[room] = reader.open(room)
            if time.monotonic() > due:
                due = time.monotonic() + LEASE_SECONDS / 5
                last, *_ = self._life.beat(engine, begun, last)
        return states

    def _lose(self, fenced: Fenced) -> None:
        """End, since the others go on without this node."""
        reason = f"the other servers on {self._where} go on without this one"
        self.lost = self.lost or str(fenced) or reason
        self._storing.end()
        self._feed.end()
