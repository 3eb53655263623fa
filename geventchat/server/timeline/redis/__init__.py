"""The timeline on Redis or Valkey: what one node stores there, and what it hears from there.

Submissions are stored by the turn, in one script; one turn is in flight. What was stored comes
back by the feed, one's own too, so that all nodes hear one order. A turn has a number: one whose
answer was lost is asked for again, and stored once.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import gevent
import msgspec
from gevent.event import Event
from gevent.lock import BoundedSemaphore

from geventchat.config import BadSetting, Limits
from geventchat.protocol.errors import Refused
from geventchat.protocol.events import ListedRoom, Post
from geventchat.server.timeline import Batch, Change, RecordChange, Submission, Timeline
from geventchat.server.timeline.redis import turn as turns
from geventchat.server.timeline.redis.backoff import pauses
from geventchat.server.timeline.redis.engine import Away, Engine, EngineError, InDoubt, Rejected
from geventchat.server.timeline.redis.feed import Feed, Fields
from geventchat.server.timeline.redis.keeping import Keeping
from geventchat.server.timeline.redis.life import Fenced, InUse, Life, LifeEnded, beaten, by
from geventchat.server.timeline.redis.maintenance import Maintenance
from geventchat.server.timeline.redis.nodes import RedisNodes
from geventchat.server.timeline.redis.pages import Pages
from geventchat.server.timeline.redis.reader import Reader
from geventchat.server.timeline.redis.rooms import FeedId, OpenRooms, Trimmed, feed_id
from geventchat.server.timeline.redis.scripts import Script
from geventchat.server.timeline.redis.url import parse
from geventchat.server.timeline.redis.writer import WAIT_SECONDS, Problem, Writer

RECENT_BYTES: Final = 16 << 20
"""Size of the cache of the newest posts: some 30,000 short ones."""
MOST_WAITING: Final = 32 << 20
"""Bytes of submissions that wait to be stored; further ones fail at once."""
_SUBMISSION_BYTES: Final = 400
"""Memory for a submission without its text. Measured, CPython 3.11."""
_TURN_SUBMISSIONS: Final = 512
_TURN_BYTES: Final = 256 << 10
ENGINE_SECONDS: Final = 5.0
"""How long an answer of the engine may take until the connection is given up."""
_BEAT_SECONDS: Final = 1.0
_FEED_BEATS: Final = 60
"""How long an entry of the feed is kept, at least."""
_DEAF_SECONDS: Final = 10.0
"""After so long without hearing what is there the server is not ready for clients."""
_READ_SECONDS: Final = 5.0

_TURN: Final = Script("turn")
_BEAT: Final = Script("beat")

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
        first = self._register()
        self.epoch = self._life.epoch
        self._problem = Problem(self._where)
        self._writer = self._new_writer()
        self._others = self._new_writer()
        """For all that is not a turn, which would wait for turns."""
        self._feed = Feed(lambda: self._connected(self._life.confirm_reading), first, self._hear)
        self.nodes: RedisNodes = RedisNodes(self._life, self._others, self._feed)
        self._reads = self._connected(self._life.confirm_reading)
        self._rooms = OpenRooms()
        self._pages = Pages(self._rooms, Reader(self._reads), recent_bytes)
        self._keeping = Keeping(self._others, self._life, self._feed)
        identity = lambda: (self._life.node, self._life.number)  # noqa: E731
        self._maintenance = Maintenance(lambda: self._reads, identity)
        self.configure(limits or Limits())
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
        self._lasts = deque[bytes]()
        """The feed's last ids at the last beats."""
        self._renewing = BoundedSemaphore()
        self._helpers: list[gevent.Greenlet[[], None]] = []

    def _connected(self, confirm: Callable[[Engine], None] | None = None) -> Engine:
        name = self._life.name
        return Engine(self._where, name=name, seconds=ENGINE_SECONDS, on_connect=confirm)

    def _new_writer(self) -> Writer:
        engine = self._connected(self._life.confirm)
        with suppress(EngineError):
            engine.call("PING")  # connected, it can be closed at once
        return Writer(engine, self._life, self._problem, self._renew)

    def _register(self) -> FeedId:
        """Become a node that stores; return where the feed begins for it. Raises BadSetting."""
        engine = self._connected()
        try:
            return self._life.register(engine, lone=not self._where.everysec)
        except InUse:
            text = "is in use by `geventchat history`, or by servers that do not answer"
        except EngineError as error:
            text = error.text.removeprefix("IMPORT ")
        finally:
            engine.close()
        raise BadSetting("timeline", str(self._where), text, temporary=True)

    def configure(self, limits: Limits) -> None:
        self._maintenance.configure(limits)

    @property
    def failing(self) -> bool:
        return self._problem.reason is not None or self._feed.deaf_seconds > _DEAF_SECONDS

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
        size = _size(submission)
        if self.lost is not None or self._bytes + size > MOST_WAITING:
            if not self._overflow:
                gevent.get_hub().loop.run_callback(self._fail_overflow)
            self._overflow.append(submission.number)
            return
        if not self._submitted:
            self._since = time.monotonic()
        self._bytes += size
        super().append(submission)

    def _fail_overflow(self) -> None:
        numbers, self._overflow = self._overflow, []
        self._deliver(Batch(failed=numbers))

    def _take_turns(self) -> None:
        try:
            while (turn := self._next_turn()) is not None or self._sent:
                if turn is not None:
                    self._store(turn)
                else:  # closing, but what is still to be told may be answered
                    self._told.clear()
                    self._told.wait()
        except Fenced:
            self._lose()

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
        """Have a turn stored, or give it up. Waits. Raises Fenced."""
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
                self.store_times.observe(time.perf_counter() - turn.began)
                turn.place, turn.time, turn.results = feed_id(place), int(when), results
                self._life.note(turn.place)
                self._answered.append(turn)
                self._judge(self._feed.passed)
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
        taken, self._submitted = self._submitted, []
        self._bytes = 0
        return taken

    # Hearing

    def _hear(self, place: FeedId, fields: Fields) -> None:
        """Follow an entry of the feed, and tell the verdicts that have waited for it."""
        node, number = by(fields)
        if b"b" in fields:
            turn = None
            if node == self._life.node.encode():
                turn = self._sent.pop(int(number), None)
            submitted = turns.unpacked(fields[b"b"]) if turn is None else turn.submitted
            batch = turns.batch(submitted, int(fields[b"m"]), fields[b"r"])
            self._follow(place, batch)
            self._tell(batch)
        elif b"x" in fields:
            self._rooms.hear(place, Trimmed(*msgspec.msgpack.decode(fields[b"x"])))
        else:
            self.nodes.hear(fields)
        self._life.note(place, (node, number))
        self._judge(place)

    def _follow(self, place: FeedId, batch: Batch) -> None:
        for entry, number in batch.entries:
            self._rooms.hear(place, entry)
            self._pages.hear(entry)
            if isinstance(entry, Post):
                self.posts_stored += bool(number)
                known = self._rooms.get(entry.room)
                self._maintenance.note_written(entry.room, known.top + 1 - known.oldest)

    def _judge(self, passed: FeedId) -> None:
        """Tell the verdicts of turns that have stored nothing, up to a place in the feed."""
        while self._answered and self._answered[0].place <= passed:
            turn = self._answered.popleft()
            if self._sent.pop(turn.number, None) is not None:
                self._tell(turns.batch(turn.submitted, turn.time, turn.results))

    def _tell(self, batch: Batch) -> None:
        self._told.set()
        self._deliver(batch)

    # Living

    def start(self) -> None:
        super().start()
        helpers = {
            "feed": self._feed.run, "beat": self._beat, "maintenance": self._maintenance.run,
        }  # fmt: skip
        self._helpers = [gevent.spawn(helper) for helper in helpers.values()]
        for greenlet, name in zip(self._helpers, helpers, strict=True):
            greenlet.name = name

    @property
    def greenlets(self) -> list["gevent.Greenlet[..., None]"]:
        return [*super().greenlets, *self._helpers]

    def close(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        stored = super().close(seconds)
        gevent.killall(self.greenlets)
        self._feed.close()
        self._reads.close()
        self._keeping.close(max(end - time.monotonic(), 0))
        self._others.close()
        self._writer.close()
        return stored and self.lost is None

    def _beat(self) -> None:
        """Renew the lease once a second, and trim the feed."""
        try:
            while True:
                # A new node waits until each beat of the others shows that it was seen.
                again = self.nodes.somebody_came.wait(_BEAT_SECONDS)
                self.nodes.somebody_came.clear()
                for _ in range(1 + again):
                    self._beat_once()
        except Fenced:
            self._lose()

    def _beat_once(self) -> None:
        """Beat. Raises Fenced."""
        trim = self._lasts.popleft() if len(self._lasts) > _FEED_BEATS else b""
        last = self._lasts[-1] if self._lasts else b""
        try:
            answer = beaten(self._others.run(_BEAT, last, trim, ""))
        except (EngineError, LifeEnded):
            self._lasts.clear()
            return
        self._lasts.append(answer.last)
        self.nodes.note_beat(answer)
        self._feed.expect(feed_id(answer.last))
        self.posts_trimmed = self._maintenance.trimmed
        if self._feed.broken:
            with suppress(EngineError):
                self._life.end(self._reads)
                self._renew(self._life.number)

    def _renew(self, ended: int) -> None:
        """Begin a new life after one that has ended, unless that was done. Waits. Raises Fenced."""
        with self._renewing:
            if self._life.number != ended:
                return
            _log.warning("%s lacks what was stored there: new epoch", self._where)
            self._drop_all()
            engine, waits, until = self._connected(), pauses(), time.monotonic() + WAIT_SECONDS
            try:
                while True:
                    try:
                        begun = self._life.join(engine)
                        self._life.get_known(engine, begun)
                        reader = Reader(engine)
                        states = {room: reader.open(room) for room in self._rooms.held}
                        break
                    except (EngineError, Refused) as error:
                        self._problem.note(str(error))
                        if time.monotonic() > until:
                            until += WAIT_SECONDS
                            self._drop_all()
                        gevent.sleep(next(waits))
            finally:
                engine.close()
            self._reads.close()
            self._reads = self._connected(self._life.confirm_reading)
            self._pages.begin(Reader(self._reads))
            self._rooms.begin(states)
            self._life.begin(begun)
            self.epoch = begun.epoch
            self._feed.go_on(begun.place)
            self._drop_all()
            self.epoch_changed()

    def _drop_all(self) -> None:
        """Tell everybody who waits that it is not known what was stored."""
        dropped = [each for turn in self._sent.values() for each in turn.submitted]
        dropped += self._take_all()
        self._sent.clear()
        self._answered.clear()
        self._tell(Batch(unknown=[each.number for each in dropped]))

    def _lose(self) -> None:
        """End, since the others go on without this node."""
        self.lost = f"the other servers on {self._where} go on without this one"
        self._drop_all()
        self._feed.end()
        self._closing = True
        self._wake.set()


def _size(submission: Submission) -> int:
    return len(submission.text) + _SUBMISSION_BYTES
