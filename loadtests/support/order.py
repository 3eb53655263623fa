"""Checks the order of posts, and names each violation."""

import time
from collections.abc import Callable
from typing import Final, Literal

from geventchat.client import ClientEvent, ServerError
from geventchat.client.cursors import Cursors
from geventchat.protocol.events import Joined, Post
from geventchat.protocol.requests import Cursor

Violation = Literal["lost", "duplicated", "reordered", "unexpected"]
VIOLATIONS: Final[dict[Violation, str]] = {
    "lost": "A position was skipped and its post never arrived.",
    "duplicated": "A post arrived twice.",
    "reordered": "A post arrived after one with a later position.",
    "unexpected": "A post arrived from a room that was not joined.",
}

GRACE_SECONDS: Final = 2.0
"""Time limit for a missing position; a post that arrives within it was reordered, not lost."""


class OrderChecker(Cursors):
    """Follows a user's rooms like the client library, but reports violations and continues.

    One checker serves a user across all its connections.
    """

    def __init__(
        self,
        report: Callable[[Violation, str, int], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(())
        self._report = report
        self._clock = clock
        self._missing: dict[tuple[str, int], float] = {}  # since when
        self._first: dict[str, int] = {}  # by room: where reading began

    def hear(self, event: ClientEvent) -> None:
        """Follow an event."""
        if not isinstance(event, Post) or self._continues(event):
            super().hear(event)
        if self._missing:
            self._give_up(self._clock() - GRACE_SECONDS)

    def finish(self) -> None:
        """Report what is still missing at the end."""
        self._give_up(self._clock())

    def _continues(self, post: Post) -> bool:
        """Whether the cursor moves to this post; reports violations."""
        room, position = post.room, post.position
        if room not in self.rooms:
            self._report("unexpected", room, position)
            return False
        cursor = self.rooms[room]
        if cursor is None:
            self._first[room] = position
            return True
        if position > cursor.position:
            for missing in range(cursor.position + 1, position):
                self._missing[room, missing] = self._clock()
            self.rooms[room] = Cursor(cursor.epoch, position - 1)
            return True
        never_came = position < self._first.get(room, 0)
        if never_came or self._missing.pop((room, position), None) is not None:
            self._report("reordered", room, position)
        else:
            self._report("duplicated", room, position)
        return False

    def _give_up(self, before: float) -> None:
        for (room, position), since in list(self._missing.items()):
            if since > before:
                return  # the rest went missing later
            del self._missing[room, position]
            self._report("lost", room, position)


class GapFree(Cursors):
    """Follows one room across connections; nothing may be missing."""

    def __init__(self, room: str) -> None:
        super().__init__([room])
        self.wrong = ""
        """What went wrong."""
        self._room = room
        self._came = False

    @property
    def position(self) -> int:
        """Everything up to here was received; -1 before the room was joined."""
        cursor = self.rooms[self._room]
        return cursor.position if cursor else -1

    def hear(self, event: ClientEvent) -> None:
        """Follow an event."""
        if isinstance(event, Joined):
            if self._came and not event.recovered:
                self.wrong = f"recovered is {event.recovered}"
            self._came = True
        try:
            super().hear(event)
        except ServerError as error:
            self.wrong = str(error)
