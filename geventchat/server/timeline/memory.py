"""The timeline in memory: as quick as it gets, gone with the process."""

import secrets
import sys
import time
from collections.abc import Callable
from typing import Final

from geventchat.protocol.events import Post
from geventchat.server.timeline import PAGE_BYTES, Batch, Said, Timeline, size_of, within_page

_POST_BYTES: Final = 400
"""What a post takes besides its text: the record, its place, its key. Measured, CPython 3.11."""


class _Record:
    """One room's posts, by position, and where the next one goes."""

    __slots__ = ("keys", "oldest", "posts", "size", "top")

    def __init__(self) -> None:
        self.top = 0
        self.oldest = 1
        self.posts: dict[int, tuple[Post, bytes]] = {}
        self.keys: dict[tuple[bytes, str], int] = {}
        self.size = 0

    def trim(self) -> int:
        """Let go of the oldest post; give the bytes that freed."""
        post, client = self.posts.pop(self.oldest)
        self.oldest += 1
        if post.key is not None:
            self.keys.pop((client, post.key), None)
        freed = _size(post)
        self.size -= freed
        return freed


def _size(post: Post) -> int:
    return sys.getsizeof(post.text) + _POST_BYTES


class MemoryTimeline(Timeline):
    """Keeps the newest posts of each room; when all together are too large, the largest gives.

    A trimmed room keeps its top, so positions are never used twice.
    """

    def __init__(
        self, deliver: Callable[[Batch], None], *, posts_per_room: int, total_bytes: int
    ) -> None:
        super().__init__(deliver)
        self.epoch = secrets.token_urlsafe(16)
        self._posts_per_room = posts_per_room
        self._total_bytes = total_bytes
        self._size = 0
        self._rooms: dict[str, _Record] = {}
        self._topics: dict[str, str] = {}

    def position(self, room: str) -> int:
        record = self._rooms.get(room)
        return record.top if record else 0

    def oldest(self, room: str) -> int:
        record = self._rooms.get(room)
        return record.oldest if record else 1

    def since(self, room: str, after: int, upto: int) -> list[Post]:
        record = self._rooms.get(room)
        if record is None:
            return []
        page: list[Post] = []
        size = 0
        for position in range(max(after + 1, record.oldest), min(upto, record.top) + 1):
            post, _ = record.posts[position]
            size += size_of(post)
            if size > PAGE_BYTES and page:
                break
            page.append(post)
        return page

    def before(self, room: str, end: int, limit: int) -> list[Post]:
        record = self._rooms.get(room)
        if record is None:
            return []
        end = min(end, record.top + 1)
        first = max(end - limit, record.oldest)
        return within_page([record.posts[position][0] for position in range(first, end)])

    def topic(self, room: str) -> str:
        return self._topics.get(room, "")

    def set_topic(self, room: str, topic: str) -> None:
        if topic:
            self._topics[room] = topic
        else:
            self._topics.pop(room, None)

    def _take_turns(self) -> None:
        while said := self._taken():
            began = time.perf_counter()
            batch = self._store(said)
            self.store_times.note(time.perf_counter() - began)
            self.posts_stored += len(batch.posts)
            self._deliver(batch)

    def _store(self, said: list[Said]) -> Batch:
        batch = Batch()
        now = int(time.time() * 1000)
        rooms = self._rooms
        for each in said:
            record = rooms.get(each.room)
            if record is None:
                record = rooms[each.room] = _Record()
            position = record.top + 1
            if each.key is not None:
                stored = record.keys.setdefault((each.client, each.key), position)
                if stored != position:
                    if record.posts[stored][0].text == each.text:
                        batch.repeated.append((each, stored))
                    else:
                        batch.conflicts.append(each)
                    continue
            post = Post(each.room, position, each.author, now, each.text, each.key)
            record.top = position
            record.posts[position] = post, each.client
            size = _size(post)
            record.size += size
            self._size += size
            if len(record.posts) > self._posts_per_room:
                self._size -= record.trim()
            batch.posts.append((post, each))
        if self._size > self._total_bytes:
            self._trim()
        return batch

    def _trim(self) -> None:
        """Make room, somewhat more than is needed so that it is seldom: in steps of 1/64."""
        goal = self._total_bytes - self._total_bytes // 64
        while self._size > goal:
            largest = max(self._rooms.values(), key=lambda record: record.size)
            while self._size > goal and largest.posts:
                self._size -= largest.trim()
                if largest.size * 2 < self._size // len(self._rooms):
                    break
