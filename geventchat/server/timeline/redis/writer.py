"""Runs the scripts that write, in the life that this node takes part in."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from geventchat.server.timeline.redis.engine import Engine, EngineError, Part, Rejected
from geventchat.server.timeline.redis.life import Life, LifeEnded
from geventchat.server.timeline.redis.scripts import Script
from geventchat.server.timeline.redis.url import Where

WAIT_SECONDS: Final = 30.0
"""How long what is to be written waits for an engine that does not answer."""

_MOST_REASONS: Final = 10
"""How many of one outage are logged."""

_log = logging.getLogger(__name__)


class Problem:
    """Why the engine stored nothing when it was last asked to, over all connections."""

    def __init__(self, where: Where) -> None:
        self._where = where
        self.reason: str | None = None
        """None: it did."""
        self._logged: set[str] = set()
        """Reasons since it last stored: one that operators can mend may follow another."""

    def note(self, reason: str | None) -> None:
        """Note why the engine does not store, or that it does, and log what is new. Never waits."""
        if reason is None:
            if self.reason is not None:
                _log.info("%s stores again", self._where)
            self._logged.clear()
        elif reason not in self._logged and len(self._logged) < _MOST_REASONS:
            self._logged.add(reason)
            _log.error("%s does not store: %s", self._where, reason)
        self.reason = reason


class Writer:
    """A connection for what is written. Everything waits unless it says so."""

    def __init__(
        self, engine: Engine, life: Life, problem: Problem, renew: Callable[[int], None]
    ) -> None:
        """`renew` has a new life begin after the one with that number. Raises Fenced."""
        self._engine = engine
        self._life = life
        self._problem = problem
        self._renew = renew

    def run(self, script: Script, *arguments: Part) -> Any:
        """Return what a script gives that writes.

        Raises EngineError, LifeEnded when another life has begun, and Fenced.
        """
        life = self._life.number
        try:
            answer = self._run(script, life, arguments)
        except EngineError as error:
            if not self.closed:
                self._problem.note(error.text)
            raise
        except LifeEnded:
            self._renew(life)
            raise
        self._problem.note(None)
        return answer

    def _run(self, script: Script, life: int, arguments: Sequence[Part]) -> Any:
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
