"""The rooms that are open: what the feed has brought of them. Nothing here waits.

What the engine says of a room may be ahead of the feed. So it is adopted when the feed has passed
the entry that it comes with, and what the feed brought beyond is added.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from geventchat.protocol.events import Post, Topic
from geventchat.server.timeline import Entry
from geventchat.server.timeline.redis.reader import RoomState

FeedId: TypeAlias = tuple[int, int]
"""The id of an entry of the feed: life, and number in it."""


class Trimmed(NamedTuple):
    """That the posts of a room below a position were deleted."""

    room: str
    oldest: int


_Heard: TypeAlias = list[tuple[FeedId, Entry | Trimmed]]


def feed_id(text: bytes) -> FeedId:
    """Return an id as it can be compared."""
    life, _, number = text.partition(b"-")
    return int(life), int(number)


@dataclass(slots=True)
class OpenRoom:
    """What is known of a room without waiting."""

    top: int = 0
    oldest: int = 1
    topic: str = ""
    change: int = 0

    def hear(self, entry: Entry | Trimmed) -> None:
        """Follow an entry of the feed."""
        if isinstance(entry, Post):
            self.top = max(self.top, entry.position)
        elif isinstance(entry, Topic):
            self.topic = entry.topic
        elif isinstance(entry, Trimmed):
            self.oldest = max(self.oldest, entry.oldest)
        else:
            self.change = max(self.change, entry.change)


UNKNOWN: Final = OpenRoom()
"""Stands for a room that is not open; a session that still reads there is ending."""


class OpenRooms:
    """The open rooms, by name, each until nobody holds it."""

    def __init__(self) -> None:
        self._rooms: dict[str, OpenRoom] = {}
        self._holders: Counter[str] = Counter()
        self.ahead: FeedId = (0, 0)
        """The place in the feed up to which a room that was opened anew may have everything."""
        self._ahead: dict[str, FeedId] = {}
        self._opening: dict[str, list[_Heard]] = {}
        """What the feed brings for each room while it is being opened."""

    def get(self, room: str) -> OpenRoom:
        """Return a room; one without anything if it is not open."""
        return self._rooms.get(room, UNKNOWN)

    def __contains__(self, room: str) -> bool:
        return room in self._rooms

    @property
    def held(self) -> list[str]:
        """The names of the rooms that somebody holds."""
        return list(self._holders)

    def hold(self, room: str) -> None:
        """Keep a room, until `release`."""
        self._holders[room] += 1

    def release(self, room: str) -> None:
        """Undo one `hold`."""
        self._holders[room] -= 1
        if not self._holders[room]:
            del self._holders[room]
            self._rooms.pop(room, None)

    @contextmanager
    def opening(self, room: str) -> Iterator[_Heard]:
        """Collect what the feed brings for a room meanwhile."""
        heard: _Heard = []
        several = self._opening.setdefault(room, [])
        several.append(heard)
        try:
            yield heard
        finally:
            # By identity: two that are empty are equal.
            several[:] = [each for each in several if each is not heard]
            if not several:
                self._opening.pop(room, None)

    def adopt(self, room: str, state: RoomState, heard: _Heard) -> None:
        """Open a room as the engine had it, and add what the feed brought beyond."""
        if room in self._rooms:
            return
        opened = OpenRoom(state.top, state.oldest, state.topic, state.change)
        at = feed_id(state.feed)
        for place, entry in heard:
            if place > at:
                opened.hear(entry)
        self._rooms[room] = opened

    def begin(self, states: dict[str, RoomState]) -> None:
        """Open these anew in another life; all others are not open any more.

        They may have what others have stored in it already, and the feed brings it yet.
        """
        self._ahead = {room: feed_id(state.feed) for room, state in states.items()}
        self.ahead = max(self._ahead.values(), default=(0, 0))
        self._rooms.clear()
        self._opening.clear()
        for room, state in states.items():
            self.adopt(room, state, [])

    def has(self, place: FeedId, entry: Entry) -> bool:
        """Return whether a room had this entry when it was opened anew."""
        return place <= self._ahead.get(entry.room, (0, 0))

    def hear(self, place: FeedId, entry: Entry | Trimmed) -> None:
        """Follow an entry of the feed."""
        opened = self._rooms.get(entry.room)
        if opened is not None:
            opened.hear(entry)
        for heard in self._opening.get(entry.room, ()):
            heard.append((place, entry))
