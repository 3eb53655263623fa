"""The timeline in memory: as quick as it gets, gone with the process."""

import secrets
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from geventchat.protocol.events import Post
from geventchat.server.timeline import PAGE_BYTES, Batch, Said, Timeline, size_of, within_page

_POST_BYTES: Final = 400
"""What a post takes besides its text: the record, its place, its key. Measured, CPython 3.11."""


class _Record:
    """One room's posts, by position: as long as there are any."""

    __slots__ = ("keys", "oldest", "posts", "size")

    def __init__(self, oldest: int) -> None:
        self.oldest = oldest
        self.posts: dict[int, tuple[Post, bytes]] = {}
        self.keys: dict[tuple[bytes, str], int] = {}
        self.size = 0


def _size(post: Post) -> int:
    return sys.getsizeof(post.text) + _POST_BYTES


class MemoryTimeline(Timeline):
    """Keeps the newest posts of each room; when all together are too large, the largest give.

    A room that was trimmed keeps its top, so positions are never used twice.
    """

    def __init__(
        self, deliver: Callable[[Batch], None], *, posts_per_room: int, total_bytes: int
    ) -> None:
        super().__init__(deliver)
        self.epoch = secrets.token_urlsafe(16)
        self._posts_per_room = posts_per_room
        self._total_bytes = total_bytes
        self._size = 0
        self._tops: dict[str, int] = {}
        self._topics: dict[str, str] = {}
        self._rooms: dict[str, _Record] = {}
        self._by_size: list[OrderedDict[_Record, None]] = [OrderedDict() for _ in range(64)]
        """Records by the bits that their size takes: a large one is found without asking all."""

    def position(self, room: str) -> int:
        return self._tops.get(room, 0)

    def oldest(self, room: str) -> int:
        record = self._rooms.get(room)
        return record.oldest if record else self.position(room) + 1

    def since(self, room: str, after: int, upto: int) -> list[Post]:
        record = self._rooms.get(room)
        if record is None:
            return []
        page: list[Post] = []
        size = 0
        for position in range(max(after + 1, record.oldest), min(upto, self.position(room)) + 1):
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
        end = min(end, self.position(room) + 1)
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
            position = self.position(each.room) + 1
            record = rooms.get(each.room)
            if record is None:
                record = rooms[each.room] = _Record(position)
            if each.key is not None:
                stored = record.keys.setdefault((each.client, each.key), position)
                if stored != position:
                    if record.posts[stored][0].text == each.text:
                        batch.repeated.append((each, stored))
                    else:
                        batch.conflicts.append(each)
                    continue
            post = Post(each.room, position, each.author, now, each.text, each.key)
            self._tops[each.room] = position
            record.posts[position] = post, each.client
            self._resize(record, _size(post))
            if len(record.posts) > self._posts_per_room:
                self._let_go(record)
            batch.posts.append((post, each))
        if self._size > self._total_bytes:
            self._trim()
        return batch

    def _trim(self) -> None:
        """Let go of the oldest posts of the largest rooms, or of some more than half as large."""
        for records in reversed(self._by_size):
            while records and self._size > self._total_bytes:
                self._let_go(next(iter(records)))

    def _let_go(self, record: _Record) -> None:
        """Let go of the oldest post of a room, and of the record with its last."""
        post, client = record.posts.pop(record.oldest)
        record.oldest += 1
        if post.key is not None:
            del record.keys[client, post.key]
        self._resize(record, -_size(post))
        if not record.posts:
            del self._rooms[post.room]

    def _resize(self, record: _Record, by: int) -> None:
        former = self._by_size[record.size.bit_length()]
        record.size += by
        self._size += by
        fitting = self._by_size[record.size.bit_length()]
        if fitting is not former:
            former.pop(record, None)
            if record.size:
                fitting[record] = None
