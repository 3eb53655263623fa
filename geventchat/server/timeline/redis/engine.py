"""One connection to Redis or Valkey: commands and scripts, limits of time, what an error means.

A command is sent once and never again. Whatever ends its exchange early, an error, a limit of time
or the end of the greenlet, also ends the connection, so no command is given another's answer.
"""

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Final

from gevent import Timeout

from geventchat.server.timeline.redis.errors import Away, EngineError, InDoubt, Rejected
from geventchat.server.timeline.redis.line import Line, Part, connected, packed
from geventchat.server.timeline.redis.order import OrderedLock
from geventchat.server.timeline.redis.scripts import Script
from geventchat.server.timeline.redis.url import Where

__all__ = ["Away", "Engine", "EngineError", "InDoubt", "Part", "Rejected"]

_NOT_HERE: Final = frozenset({"MASTERDOWN", "NOAUTH", "READONLY", "UNBLOCKED"})
"""Errors of an engine that is not the primary any more, or not for this connection."""
_NOT_NOW: Final = _NOT_HERE | {"BUSY", "CLUSTERDOWN", "LOADING", "NOREPLICAS"}
"""Errors of an engine that executes nothing at present, for this connection at least."""


class Engine:
    """One connection, made when it is needed: commands one after the other, by any greenlet."""

    def __init__(
        self,
        where: Where,
        *,
        name: str,
        seconds: float = 5.0,
        on_connect: "Callable[[Engine], None] | None" = None,
    ) -> None:
        """Remember where the engine is. Does not wait.

        `name` is shown by `CLIENT LIST`. A command takes at most `seconds`, waiting for others
        before it and connecting included. `on_connect` is called with each new connection before
        anything else is sent, and may use it, and no other; if it raises, the connection is given
        up: its EngineError becomes Away for the command that was to be sent, another error is
        raised.
        """
        self.where: Final = where
        self._name = name
        self._seconds = seconds
        self._on_connect = on_connect
        self._lock = OrderedLock()
        self._line: Line | None = None
        self._connecting = False
        self.closed = False
        """Whether `close` was called: every command raises an error."""

    def call(self, *command: Part) -> Any:
        """Return the answer to a command: bytes, an int, None or a list. Waits.

        Raises Away, InDoubt, Rejected.
        """
        (answer,) = self.pipeline([command])
        if isinstance(answer, Rejected):
            if answer.code in _NOT_NOW:
                raise Away(answer.text, answer)
            raise answer
        return answer

    def pipeline(self, commands: Sequence[Sequence[Part]]) -> list[Any]:
        """Return the answers to commands that are sent at once, a Rejected in its place. Waits.

        Raises Away: none was executed. Raises InDoubt: any may have been.
        """
        until = monotonic() + self._seconds
        if not self._lock.acquire(self._seconds):
            raise Away("earlier commands were not answered in time")
        try:
            line = self._line
            if line is None or not line.usable():
                line = self._connect(until)
            data = [packed(command) for command in commands]
            try:
                answers = line.exchange(data, until)
            except BaseException as error:
                self._drop(line)
                if self.closed and isinstance(error, InDoubt):  # the socket has its own words
                    raise InDoubt("closed") from None
                raise
            if any(isinstance(each, Rejected) and each.code in _NOT_HERE for each in answers):
                self._drop(line)
            return answers
        finally:
            self._lock.release()

    def run(self, script: Script, keys: Sequence[Part], *arguments: Part) -> Any:
        """Return what a script returns, as `call` does; the engine is sent its text if needed."""
        rest = (len(keys), *keys, *arguments)
        try:
            return self.call("EVALSHA", script.digest, *rest)
        except Rejected as error:
            if error.code != "NOSCRIPT":
                raise
        return self.call("EVAL", script.text, *rest)

    def close(self) -> None:
        """End the connection for good. A command in flight raises InDoubt. Does not wait."""
        self.closed = True
        if self._line is not None:
            self._drop(self._line)

    def _connect(self, until: float) -> Line:
        """Connect. Raises Away, and what `on_connect` raises."""
        if self._connecting:
            raise Away("the new connection was closed")
        if self._line is not None:
            self._drop(self._line)
        line = None
        self._connecting = True
        try:
            with Timeout(max(until - monotonic(), 0.001)) as limit:
                try:
                    if self.closed:
                        raise Away("closed")
                    self._line = line = connected(self.where, self._name, until)
                    if self.closed:  # meanwhile
                        raise Away("closed")
                    if self._on_connect is not None:
                        self._on_connect(self)
                except Timeout as expired:
                    if expired is not limit:
                        raise
                    raise Away("no answer in time") from None
        except BaseException as error:
            if line is not None:
                self._drop(line)
            if isinstance(error, EngineError) and not isinstance(error, Away):
                answer = error if isinstance(error, Rejected) else None
                raise Away(error.text, answer) from error
            raise
        finally:
            self._connecting = False
        return line

    def _drop(self, line: Line) -> None:
        line.close()
        if self._line is line:
            self._line = None
