"""Search: finds posts by their words, over the rooms that somebody is in.

What is found is a place, a room and a position. Whoever asks reads the posts from the timeline,
which alone knows their present text, and checks them again.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from geventchat.server.search.query import Query
from geventchat.server.timeline import Batch

SECONDS: Final = 1.0
"""How long a search may take before its answer is cut short."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a post was found."""

    room: str
    position: int
    time: int
    """Milliseconds since 1970, UTC."""
    change: int
    """The number of the latest change of the post that the index knows."""


@dataclass(frozen=True, slots=True)
class Places:
    """What a search found, the newest first."""

    places: list[Place]
    complete: bool
    """Whether it was not cut short."""
    before: int | None = None
    """If it was: where to continue, by time; None: nowhere."""

    @classmethod
    def cut(cls, places: list[Place]) -> "Places":
        """Return what a search found before it was cut short, to be continued by time.

        There may be more of the last time, so its places are left out, unless there is no other.
        """
        earlier = [place for place in places if place.time != places[-1].time]
        places = earlier or places
        return cls(places, complete=False, before=places[-1].time if places else None)


class Search(ABC):
    """An index of posts, which may be some seconds late."""

    @abstractmethod
    def find(
        self,
        query: Query,
        rooms: Mapping[str, int],
        *,
        author: str | None,
        before: int | None,
        limit: int,
    ) -> Places:
        """Return up to `limit` places in these rooms, each from a position on.

        `before`: only posts older than this, in ms since 1970. Waits. Raises Refused `slow_down`
        if too many are searching, `storage` if the index cannot be read.
        """

    @abstractmethod
    def note(self, batch: Batch) -> None:
        """Have the posts and changes of a batch indexed soon. Never waits."""

    @abstractmethod
    def start(self) -> None:
        """Start indexing."""

    @abstractmethod
    def close(self) -> None:
        """Stop indexing. May wait for a step."""

    @property
    def lag(self) -> int:
        """How many rooms have something that is not indexed yet."""
        return 0

    @property
    def file_bytes(self) -> int:
        """Size of the index on disk."""
        return 0
