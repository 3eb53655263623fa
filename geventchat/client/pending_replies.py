"""Answers that are waited for, by the name they will carry: a request's id, or the key of a say."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any, cast

from gevent.event import AsyncResult

from geventchat.client.socket_link import Ended
from geventchat.protocol.errors import ErrorCode, Refused
from geventchat.protocol.events import Answer, Bye, Error, Post


class PendingReplies:
    """Who waits for which answer; several do who said the same. Nothing here waits."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[AsyncResult[Any]]] = {}

    @contextmanager
    def expect(self, name: str) -> Iterator["AsyncResult[object]"]:
        """Give what will hold the answer of this name, if it comes within the block."""
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
        """Give an answer to who waits for it; say whether anybody does."""
        waiting = self._waiting.get(name, []) if name else []
        for answer in waiting:
            if isinstance(event, Error):
                code = cast(ErrorCode, event.code)  # or a later version's, which means no less
                refused = Refused(code, event.text, room=event.room, retry_ms=event.retry_ms)
                answer.set_exception(refused)
            else:
                answer.set(event)
        return bool(waiting)

    def fail_all(self, bye: Bye) -> None:
        """Let all who wait know that no answer will come."""
        for answer in chain(*self._waiting.values()):
            answer.set_exception(Ended(bye))
