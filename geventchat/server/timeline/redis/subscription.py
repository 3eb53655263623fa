"""Hears what is published on one channel of an engine. What is published meanwhile is lost."""

import logging
import time
from collections.abc import Callable
from typing import Final

import gevent

from geventchat.server.slices import SLICE_SECONDS, pause
from geventchat.server.timeline.redis.backoff import pauses
from geventchat.server.timeline.redis.errors import Away, EngineError, Rejected
from geventchat.server.timeline.redis.line import Line, connected, packed
from geventchat.server.timeline.redis.url import Where

_CONNECT_SECONDS: Final = 5.0
_QUIET_SECONDS: Final = 1.0
"""After so long without hearing anything the engine is asked whether it is there."""
_DEAF_SECONDS: Final = 3.0
"""After so long without an answer to that the connection is given up."""
_PING: Final = packed(("PING",))

_log = logging.getLogger(__name__)


class Subscription:
    """One channel. `run` hears it."""

    def __init__(
        self,
        where: Where,
        name: str,
        channel: str,
        begun: Callable[[], None],
        hear: Callable[[bytes], None],
    ) -> None:
        """`name` is shown by `CLIENT LIST`.

        `begun` is called when everything is heard from now on: before, something may have been
        missed; it never waits. `hear` is called with each message, in their order; it may wait.
        """
        self._where = where
        self._name = name
        self._channel = channel
        self._begun = begun
        self._hear = hear
        self._line: Line | None = None

    def run(self) -> None:
        """Hear everything, until killed."""
        waits, told = pauses(), False
        while True:
            try:
                self._line = connected(self._where, self._name, time.monotonic() + _CONNECT_SECONDS)
                self._subscribe(self._line)
                waits, told = pauses(), False
                self._listen(self._line)
            except EngineError as error:
                if isinstance(error, Rejected) and not told:  # nothing that passes by itself
                    _log.error("%s: cannot hear other nodes: %s", self._where, error.text)
                    told = True
                gevent.sleep(next(waits))
            finally:
                self.reconnect()

    def reconnect(self) -> None:
        """Give the connection up for another one. Never waits."""
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def _subscribe(self, line: Line) -> None:
        command = packed(("SUBSCRIBE", self._channel))
        (answer,) = line.exchange([command], time.monotonic() + _CONNECT_SECONDS)
        if isinstance(answer, Rejected):
            raise answer
        self._begun()

    def _listen(self, line: Line) -> None:
        """Hear everything that comes over a line. Raises EngineError when it ends."""
        heard, spent = time.monotonic(), 0.0
        while line is self._line:
            answer = line.heard(time.monotonic() + _QUIET_SECONDS)
            if answer is None:
                if time.monotonic() - heard > _DEAF_SECONDS:
                    raise Away("no answer in time")
                line.say(_PING, time.monotonic() + _QUIET_SECONDS)
                continue
            heard = time.monotonic()
            if answer[0] == b"message":
                self._hear(answer[2])
            spent += time.monotonic() - heard
            if spent > SLICE_SECONDS:
                pause()
                spent = 0.0
