"""Runs the scripts that write, in the life that this node takes part in."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from geventchat.server.timeline.redis.engine import Engine, EngineError, Rejected
from geventchat.server.timeline.redis.life import Life, LifeEnded
from geventchat.server.timeline.redis.scripts import Script

WAIT_SECONDS: Final = 30.0
"""How long what is to be written waits for an engine that does not answer."""

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

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._engine.closed

    def close(self) -> None:
        """End the connection. Does not wait."""
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
