"""Reads the states of rooms that are to be opened, as many at once as are asked for meanwhile.

A read by itself waits for the engine's disk, as other nodes write all the time. When a thousand
clients come at once they would wait for a thousand of these times, one after the other.
"""

from collections.abc import Sequence
from typing import Any, Final

from gevent.event import AsyncResult

from geventchat.server.timeline.redis.engine import Away, Engine
from geventchat.server.timeline.redis.errors import EngineError, Rejected
from geventchat.server.timeline.redis.order import OrderedLock
from geventchat.server.timeline.redis.scripts import Script

_AT_ONCE: Final = 64
"""Rooms in one round trip: the engine takes some 15 µs for each."""
_WAIT_SECONDS: Final = 10.0


class Openings:
    """Runs a script for each room that is asked for. Any number of greenlets may ask."""

    def __init__(self, engine: Engine, script: Script) -> None:
        self._engine = engine
        self._script = script
        self._turn = OrderedLock()
        self._asked: dict[str, list[AsyncResult[Any]]] = {}
        """By room, those who ask for it and for whom nobody has sent anything yet."""

    def ask(self, room: str) -> Any:
        """Return what the script returns for a room, which it reads after this call. Waits.

        Raises EngineError.
        """
        answer: AsyncResult[Any] = AsyncResult()
        self._asked.setdefault(room, []).append(answer)
        if not self._turn.acquire(_WAIT_SECONDS):
            raise Away("earlier rooms were not read in time")
        try:
            while not answer.ready():
                self._send()
        finally:
            self._turn.release()
        found = answer.get(block=False)
        if isinstance(found, Rejected):  # rare, and has its own ways, such as a missing script
            return self._engine.run(self._script, (), room)
        return found

    def _send(self) -> None:
        """Read the rooms that were asked for first."""
        rooms = [*self._asked][:_AT_ONCE]
        sent = [(room, self._asked.pop(room)) for room in rooms]
        try:
            commands = [("EVALSHA", self._script.digest, 0, room) for room in rooms]
            found: Sequence[Any] = self._engine.pipeline(commands)
        except EngineError as error:
            for _, answers in sent:
                for answer in answers:
                    answer.set_exception(error)
            return
        except BaseException:  # who reads has to end: the others go on
            for room, answers in sent:
                self._asked.setdefault(room, []).extend(answers)
            raise
        for (_, answers), state in zip(sent, found, strict=True):
            for answer in answers:
                answer.set(state)
