"""Replies that callers wait for, by the id of the request or the key of the say."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any, cast

from gevent.event import AsyncResult

from geventchat.client.socket_link import Ended
from geventchat.protocol.errors import ErrorCode, Refused
from geventchat.protocol.events import Answer, Bye, Error, Post


class PendingReplies:
    """Callers waiting for replies; several may wait for the same key. Never waits."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[AsyncResult[Any]]] = {}

    @contextmanager
    def expect(self, name: str) -> Iterator["AsyncResult[object]"]:
        """Yield the future reply with this id or key, for the duration of the block."""
        answer: AsyncResult[object] = AsyncResult()
        waiting = self._waiting.setdefault(name, [])
        waiting.append(answer)
        try:
            yield answer
        finally:
            waiting.remove(answer)
            if not waiting:
                del self._waiting[name]

    def resolve(self, name: str | None, event: Answer | Post) -> bool:
        """Hand a reply to its callers; return whether there are any."""
        waiting = self._waiting.get(name, []) if name else []
        for answer in waiting:
            if isinstance(event, Error):
                code = cast(ErrorCode, event.code)  # or one of a later version
                refused = Refused(code, event.text, room=event.room, retry_ms=event.retry_ms)
                answer.set_exception(refused)
            else:
                answer.set(event)
        return bool(waiting)

    def fail_all(self, bye: Bye) -> None:
        """Raise Ended in all callers that have no reply yet."""
        for answer in chain(*self._waiting.values()):
            if not answer.ready():  # else its caller has yet to run
                answer.set_exception(Ended(bye))
