"""Search without an index: reads what is stored from the newest back, some at a time."""

import heapq
import time
from collections.abc import Iterator, Mapping
from typing import Final

from gevent.lock import BoundedSemaphore

from geventchat.protocol.errors import Refused
from geventchat.protocol.events import Post
from geventchat.protocol.names import fold
from geventchat.server.search import SECONDS, Place, Places, Search
from geventchat.server.search.query import Query
from geventchat.server.slices import REQUESTS
from geventchat.server.timeline import Batch, Timeline

_PAGE: Final = 100
_SLICE_SECONDS: Final = 0.0005
"""What all searches together take of a round: a message to an engine and back takes several."""
_STEP_SECONDS: Final = 0.00025
"""How long a search reads before another one has its turn in the same slice."""


class _TimeOver(Exception):
    """A search has taken as long as it may."""


class ScanSearch(Search):
    """Reads posts from the newest back; all searches share a slice of each round."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._reading = BoundedSemaphore()
        """One page at a time: a timeline that waits for an engine is read by others, too."""

    def note(self, batch: Batch) -> None:
        """Do nothing: the timeline has it."""

    def start(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def find(
        self,
        query: Query,
        rooms: Mapping[str, int],
        *,
        author: str | None,
        before: int | None,
        limit: int,
    ) -> Places:
        by = fold(author) if author is not None else None
        found: list[Place] = []
        unread: list[Refused] = []
        examined: int | None = None
        end = time.monotonic() + SECONDS
        slice_end = time.monotonic() + _STEP_SECONDS

        def pause() -> None:
            nonlocal slice_end
            if time.monotonic() > slice_end:
                if time.monotonic() > end:
                    raise _TimeOver
                REQUESTS.wait(_SLICE_SECONDS)
                slice_end = time.monotonic() + _STEP_SECONDS

        newest = heapq.merge(
            *(
                _readable(self._posts(room, least, before, end), unread)
                for room, least in rooms.items()
            ),
            key=lambda post: post.time,
            reverse=True,
        )
        try:
            for post in newest:
                examined = post.time
                wanted = before is None or post.time < before
                named = wanted and (by is None or fold(post.author) == by)
                if named and query.matches(post.text, pause):
                    if len(found) >= limit and post.time != found[-1].time:
                        break
                    found.append(Place(post.room, post.position, post.time, post.change))
                pause()
        except _TimeOver:
            return _cut(found, examined, before)
        if not unread:
            return Places(found, complete=True)
        if len(unread) == len(rooms):
            raise unread[0]
        return Places(found, False, found[-1].time if len(found) >= limit else None)

    def _posts(self, room: str, least: int, before: int | None, end: float) -> Iterator[Post]:
        """Yield posts from one position on, the newest first, all of those before a time."""
        below = self._timeline.position(room) + 1
        if before is not None:
            below = self._first_since(room, least, below, before, end)
        while below > least:
            page = self._page(room, below, _PAGE, end)
            for post in reversed(page):
                if post.position < least:
                    return
                yield post
            if not page:
                return
            below = page[0].position

    def _first_since(self, room: str, low: int, high: int, before: int, end: float) -> int:
        """Return the first position from `low` to `high` whose post is not before a time."""
        while low < high:
            middle = (low + high) // 2
            page = self._page(room, middle + 1, 1, end)
            if not page or page[-1].position < middle or page[-1].time < before:
                low = middle + 1
            else:
                high = middle
        return low

    def _page(self, room: str, below: int, limit: int, end: float) -> list[Post]:
        # Others may read for long, one after the other, while an engine does not answer.
        if not self._reading.acquire(timeout=max(end - time.monotonic(), 0)):
            raise _TimeOver
        try:
            return self._timeline.before(room, below, limit)
        finally:
            self._reading.release()


def _readable(posts: Iterator[Post], unread: list[Refused]) -> Iterator[Post]:
    """Yield posts, and note why there are no more if they cannot be read."""
    try:
        yield from posts
    except Refused as refused:
        unread.append(refused)


def _cut(found: list[Place], examined: int | None, before: int | None) -> Places:
    """Return what was found before the time was over, to be continued where it was then.

    There may be more of the last time that was examined, so it is searched again, unless the whole
    search came no further.
    """
    if examined is None or (before is not None and examined + 1 >= before):
        return Places(found, complete=False, before=examined)
    earlier = [place for place in found if place.time != examined]
    return Places(earlier, complete=False, before=examined + 1)
