"""Reads the states of rooms that are to be opened, as many at once as are asked for meanwhile.

A read by itself waits for the engine's disk, as other nodes write all the time. When a thousand
clients come at once they would wait for a thousand of these times, one after the other.
"""

from collections.abc import Sequence
from typing import Any, Final

from gevent.event import AsyncResult

from geventchat.server.timeline.redis.engine import Away, Engine
from geventchat.server.timeline.redis.errors import Rejected
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
        self._asked: dict[str, AsyncResult[Any]] = {}
        """By room, those that nobody has sent yet. Who asks for the same room waits with them."""

    def ask(self, room: str) -> Any:
        """Return what the script returns for a room, which it reads after this call. Waits.

        Raises EngineError.
        """
        answer = self._asked.setdefault(room, AsyncResult())
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
        except Exception as error:
            for _, answer in sent:
                answer.set_exception(error)
            return
        except BaseException:  # who reads was killed: the others go on
            for room, answer in sent:
                self._put_back(room, answer)
            raise
        for (_, answer), state in zip(sent, found, strict=True):
            answer.set(state)

    def _put_back(self, room: str, answer: "AsyncResult[Any]") -> None:
        later = self._asked.setdefault(room, answer)
        if later is not answer:
            later.rawlink(lambda done: _copy(done, answer))


def _copy(done: "AsyncResult[Any]", answer: "AsyncResult[Any]") -> None:
    if done.successful():
        answer.set(done.value)
    else:
        answer.set_exception(done.exception or AssertionError())
