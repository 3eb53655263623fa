"""The numbers of guests, of which each node takes some at a time."""

import secrets
from collections.abc import Iterator
from typing import Final

from geventchat.server.timeline.redis.asking import Asking, Question

_AT_ONCE: Final = 1_000
"""Numbers that a node takes at once,"""
_FEW: Final = 500
"""and how many are left when it asks for more."""
_ODD: Final = 10**15
"""Where numbers begin that are drawn by lot; no node gets that far by counting."""


class Guests:
    """The numbers that this node may use. Nothing here waits."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._numbers: Iterator[int] = iter(())
        self._left = 0
        self._highest = 0
        self._asked: Question | None = None

    def more(self) -> Question:
        """Return the question for more numbers."""
        self._asked = Question("guests", (_AT_ONCE, self._highest), then=self._take)
        return self._asked

    def next(self) -> int:
        """Return the number of a guest that no node has used or will use.

        If the engine is away for so long that there is none left, one is drawn by lot, so large
        that it is hardly drawn twice.
        """
        if self._left <= _FEW and (self._asked is None or self._asked.answer.ready()):
            self._asking.put(self.more())
        number = next(self._numbers, None)
        if number is None:
            return _ODD + secrets.randbelow(9 * _ODD)
        self._left -= 1
        return number

    def _take(self, last: int) -> None:
        numbers = [*self._numbers, *range(last - _AT_ONCE + 1, last + 1)]
        self._numbers, self._left = iter(numbers), len(numbers)
        self._highest = last
