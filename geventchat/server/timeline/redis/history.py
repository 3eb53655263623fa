"""The history that an engine holds, for `geventchat history`. Everything here waits."""

import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import gevent

from geventchat.config import BadSetting
from geventchat.server.timeline.clock import DAY_MS, Clock
from geventchat.server.timeline.history import History, NotTrimmed, Readable, Writable
from geventchat.server.timeline.lines import EndLine
from geventchat.server.timeline.redis import export, fitness, keys, restore
from geventchat.server.timeline.redis.engine import Engine, EngineError, Rejected
from geventchat.server.timeline.redis.life import Fenced, InUse, Life
from geventchat.server.timeline.redis.retention import USED, Retention, policy_of
from geventchat.server.timeline.redis.url import parse
from geventchat.server.timeline.retention_policy import RetentionPolicy

_NAME: Final = "geventchat-history"
_SECONDS: Final = 30.0
"""How long a command may take: a busy engine is no reason to give up an export."""
_BEAT_SECONDS: Final = 1.0


class RedisHistory(History):
    """The history at the URL of an engine."""

    @contextmanager
    def reading(self) -> Iterator[Readable]:
        with self._connected(_NAME) as engine:
            self._check_begun(engine)
            yield _Reading(engine)

    @contextmanager
    def exclusive(self) -> Iterator[Writable]:
        life = Life()
        with self._connected(life.name) as engine:
            self._check_begun(engine)
            life.register(engine, lone=not engine.where.everysec, alone=True, seconds=0)
            beat = gevent.spawn(_beat, engine, life)
            try:
                yield _Claimed(engine, life)
            finally:
                beat.kill()
                with suppress(EngineError):
                    life.leave(engine)

    def import_lines(self, lines: Iterable[bytes]) -> EndLine:
        fitness.check(self._path)
        with self._connected(restore.NAME) as engine:
            return restore.import_lines(engine, lines, secrets.token_urlsafe(16))

    @contextmanager
    def _connected(self, name: str) -> Iterator[Engine]:
        """Connect for a block. Raises BadSetting for what goes wrong with the engine in it."""
        try:
            where = parse(self._path)
        except ValueError as error:
            raise BadSetting("timeline", self._path, str(error)) from None
        engine = Engine(where, name=name, seconds=_SECONDS)
        try:
            yield engine
        except EngineError as error:
            if isinstance(error, Rejected) and error.code == "FENCED":
                reason = "a server has taken it over meanwhile; stop that, and run this again"
                raise BadSetting("timeline", where, reason, temporary=True) from None
            raise fitness.unusable(self._path, where, error) from None
        except (InUse, Fenced):
            reason = "a server is using it; stop that first"
            raise BadSetting("timeline", where, reason, temporary=True) from None
        except restore.Unusable as error:
            raise BadSetting("timeline", where, str(error), temporary=error.temporary) from None
        except export.Trimmed as error:
            reason = f"{error}; run this again"
            raise BadSetting("timeline", where, reason, temporary=True) from None
        finally:
            engine.close()

    def _check_begun(self, engine: Engine) -> None:
        """Raise BadSetting unless there is a history of ours."""
        if reason := fitness.foreign(engine):
            raise BadSetting("timeline", engine.where, reason)
        begun, life = export.answers(engine, ("EXISTS", keys.IMPORT), ("EXISTS", keys.LIFE))
        if begun:
            reason = "an import into it did not end; run geventchat history import again"
            raise BadSetting("timeline", engine.where, reason)
        if not life:
            raise BadSetting("timeline", engine.where, "is empty; it holds no history")


def _beat(engine: Engine, life: Life) -> None:
    """Keep servers out, without an end; one that comes nevertheless ends what is under way."""
    while True:
        gevent.sleep(_BEAT_SECONDS)
        try:
            life.beat(engine)
        except EngineError:
            continue  # what is under way meets the same


class _Reading(Readable):
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def export_lines(self) -> Iterator[bytes]:
        return export.export_lines(self._engine)

    def damage(self) -> Iterator[str]:
        return export.damage(self._engine)

    def unreachable_posts(self) -> str:
        return next(export.unlisted(self._engine), "")


class _Claimed(_Reading, Writable):
    def __init__(self, engine: Engine, life: Life) -> None:
        super().__init__(engine)
        self._life = life

    def moved_lines(self, before_end: Callable[[], None]) -> Iterator[bytes]:
        def give_away() -> str:
            before_end()
            epoch = self._life.epoch
            self.renew()
            return epoch

        return export.export_lines(self._engine, give_away)

    def trim(self, keep: RetentionPolicy) -> int:
        last = self._engine.call("HGET", *USED)
        clock = Clock(int(last) if last is not None else None)
        if ahead_ms := clock.ahead_ms(keep.away_ms) if keep.days else 0:
            self._engine.call("HDEL", *USED)
            raise NotTrimmed(
                f"by the system clock {ahead_ms / DAY_MS:.1f} days have passed since the database"
                " was used; if that is right, run this again"
            )
        retention = Retention(lambda: self._engine, lambda: (self._life.node, self._life.number))
        retention.policy = policy_of(keep)
        last = 0
        # A step examines only some of the rooms: it ends when a whole round deletes nothing.
        while retention.rounds < last + 2:
            if retention.step():
                last = retention.rounds
        return retention.trimmed

    def renew(self) -> None:
        self._life.end(self._engine)
        self._life.begin(self._life.join(self._engine))
