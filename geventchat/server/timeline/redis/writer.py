"""Runs the scripts that write, in the life that this node takes part in, and writes records."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import gevent
import msgspec
from gevent.lock import BoundedSemaphore

from geventchat.protocol.errors import Refused
from geventchat.server.timeline import RecordChange
from geventchat.server.timeline.redis.backoff import pauses
from geventchat.server.timeline.redis.engine import Away, Engine, EngineError, InDoubt, Rejected
from geventchat.server.timeline.redis.life import Fenced, Life, LifeEnded
from geventchat.server.timeline.redis.scripts import Script
from geventchat.server.timeline.redis.stored import string

WAIT_SECONDS: Final = 30.0
"""How long what is to be written waits for an engine that does not answer."""

KEEP: Final = Script("keep")

_log = logging.getLogger(__name__)


class Writer:
    """The connection for all that is written. Everything waits unless it says so."""

    def __init__(self, engine: Engine, life: Life, renew: Callable[[int], None]) -> None:
        """`renew` has a new life begin after the one with that number. Raises Fenced."""
        self._engine = engine
        self._life = life
        self._renew = renew
        self.problem: str | None = None
        """Why the engine stored nothing when it was last asked to; None: it did."""
        self._kept = 0
        self._keeping = BoundedSemaphore()

    def run(self, script: Script, *arguments: str | int | bytes) -> Any:
        """Return what a script gives that writes.

        Raises EngineError, LifeEnded when another life has begun, and Fenced.
        """
        life = self._life.number
        try:
            answer = self._run(script, life, arguments)
        except EngineError as error:
            self.note(error.text)
            raise
        except LifeEnded:
            self._renew(life)
            raise
        self.note(None)
        return answer

    def _run(self, script: Script, life: int, arguments: Sequence[str | int | bytes]) -> Any:
        try:
            return self._engine.run(script, (), self._life.node, life, *arguments)
        except Rejected as error:
            if error.code != "FENCED":
                raise
        self._life.confirm(self._engine)
        raise LifeEnded  # a moment ago, which another greenlet has noticed

    def keep(self, changes: Sequence[RecordChange]) -> None:
        """Write records, all of them or none. Raises Refused `storage`."""
        blob = packed(changes)
        with self._keeping:  # one after the other: what is late must not undo what is newer
            self._kept += 1
            until, waits = time.monotonic() + WAIT_SECONDS, pauses()
            while True:
                try:
                    self.run(KEEP, self._kept, blob)
                except (Away, InDoubt) as error:
                    if self._engine.closed or time.monotonic() > until:
                        raise _refusal(error) from None
                    gevent.sleep(next(waits))
                except (EngineError, Fenced) as error:
                    raise _refusal(error) from None
                except LifeEnded:
                    continue
                else:
                    return

    def close(self, seconds: float) -> None:
        """End the connection; records that are being written have some seconds."""
        if self._keeping.acquire(timeout=seconds):
            self._keeping.release()
        self._engine.close()

    def note(self, problem: str | None) -> None:
        """Note why the engine does not store, or that it does, and log a change. Never waits."""
        if self._engine.closed:
            return
        if problem is not None and self.problem is None:
            _log.error("%s does not store: %s", self._engine.where, problem)
        elif problem is None and self.problem is not None:
            _log.info("%s stores again", self._engine.where)
        self.problem = problem


def packed(changes: Sequence[RecordChange]) -> bytes:
    """Return changes of records as the script takes them."""
    records = [
        (kind, number, False if value is None else string(value)) for kind, number, value in changes
    ]
    return msgspec.msgpack.encode(records)


def _refusal(error: Exception) -> Refused:
    _log.error("writing records failed: %s", error)
    return Refused("storage", "The server could not read or write its database.")
