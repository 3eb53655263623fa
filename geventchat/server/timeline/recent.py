"""A cache of the newest posts: clients that reconnect quickly resume without disk reads."""

import sys
from collections import deque
from typing import Final

from geventchat.protocol.events import Post
from geventchat.server.timeline import PAGE_BYTES, Change, newest_page, size_of
from geventchat.server.timeline.changes import applied

_POST_BYTES: Final = 400
"""Memory for a post without its text. Measured, CPython 3.11."""
_ROOM_BYTES: Final = 800
"""Memory for a room without its posts."""


class RecentPosts:
    """The newest posts of all rooms, limited in bytes; the oldest are evicted.

    The posts of each room have no hole. Nothing here waits.
    """

    def __init__(self, most_bytes: int) -> None:
        self.size = 0
        """Bytes in use."""
        self._most_bytes = most_bytes
        self._order: deque[str] = deque()
        """The rooms of the posts, in the order in which they were added."""
        self._rooms: dict[str, deque[Post]] = {}

    def add(self, post: Post) -> None:
        """Add the post that follows the last of its room."""
        self._order.append(post.room)
        posts = self._rooms.get(post.room)
        if posts is None:
            posts = self._rooms[post.room] = deque()
            self.size += _ROOM_BYTES
        posts.append(post)
        self.size += _size(post)
        while self.size > self._most_bytes:
            self._evict_oldest()

    def change(self, change: Change) -> None:
        """Change a post, if it is here."""
        posts = self._rooms.get(change.room)
        if posts is None or not posts[0].position <= change.position <= posts[-1].position:
            return
        place = change.position - posts[0].position
        post = posts[place]
        posts[place] = now = applied(post, change)
        self.size += _size(now) - _size(post)
        while self.size > self._most_bytes:
            self._evict_oldest()

    def clear(self) -> None:
        """Evict everything, since the last additions may have left a hole."""
        self._order.clear()
        self._rooms.clear()
        self.size = 0

    def since(self, room: str, after: int, upto: int) -> list[Post] | None:
        """Return a page of the posts after `after` up to `upto`; None if any is missing here."""
        page: list[Post] = []
        size = 0
        posts = self._rooms.get(room)
        if posts is None or posts[0].position > after + 1 or posts[-1].position < upto:
            return None
        first = posts[0].position
        for position in range(after + 1, upto + 1):
            post = posts[position - first]
            size += size_of(post)
            if size > PAGE_BYTES and page:
                break
            page.append(post)
        return page

    def before(self, room: str, low: int, end: int) -> list[Post] | None:
        """Return a page of the last posts from `low` to below `end`; None if any is missing."""
        posts = self._rooms.get(room)
        if posts is None or posts[0].position > low or posts[-1].position < end - 1:
            return None
        first = posts[0].position
        return newest_page([posts[position - first] for position in range(low, end)])

    def _evict_oldest(self) -> None:
        room = self._order.popleft()
        posts = self._rooms[room]
        self.size -= _size(posts.popleft())
        if not posts:
            del self._rooms[room]
            self.size -= _ROOM_BYTES


def _size(post: Post) -> int:
    return sys.getsizeof(post.text) + _POST_BYTES
