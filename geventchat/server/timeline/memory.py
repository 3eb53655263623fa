"""The timeline in memory: the fastest, lost when the process ends."""

import logging
import secrets
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from sortedcontainers import SortedDict

from geventchat.config import Limits
from geventchat.protocol import names
from geventchat.protocol.events import ListedRoom, Post, Topic
from geventchat.server.timeline import (
    PAGE_BYTES,
    Batch,
    Submission,
    Timeline,
    newest_page,
    size_of,
)

_POST_BYTES: Final = 400
"""Memory for a post without its text: objects, index, key. Measured, CPython 3.11."""
_ROOM_BYTES: Final = 200
"""Memory for the name and newest position of a room."""
_ROOMS_SHARE: Final = 4
"""Names, newest positions and topics, which are never deleted, may take 1/4 of all bytes."""

_log = logging.getLogger(__name__)


class _Record:
    """One room's posts by position; exists while there are any."""

    __slots__ = ("keys", "oldest", "posts", "size")

    def __init__(self, oldest: int) -> None:
        self.oldest = oldest
        self.posts: dict[int, tuple[Post, bytes]] = {}
        self.keys: dict[tuple[bytes, str], int] = {}
        self.size = 0


def _size(post: Post) -> int:
    return sys.getsizeof(post.text) + _POST_BYTES


def _topic_size(topic: str) -> int:
    return sys.getsizeof(topic) + _ROOM_BYTES if topic else 0


class MemoryTimeline(Timeline):
    """Keeps the newest posts of each room; above the total limit the largest rooms are trimmed.

    A trimmed room keeps its newest position, so positions are never reused.
    """

    def __init__(
        self, deliver: Callable[[Batch], None], *, posts_per_room: int, total_bytes: int
    ) -> None:
        super().__init__(deliver)
        self.epoch = secrets.token_urlsafe(16)
        self._posts_per_room = posts_per_room
        self._total_bytes = total_bytes
        self._size = 0
        self._rooms_size = 0
        """Bytes of names, newest positions and topics."""
        self._tops: dict[str, int] = {}
        self._topics: dict[str, str] = {}
        self._listed = SortedDict()
        """The topics of rooms that can be found, by name."""
        self._rooms: dict[str, _Record] = {}
        self._by_size: list[OrderedDict[_Record, None]] = [OrderedDict() for _ in range(64)]
        """Records by the bit length of their size, to find a large one without a scan."""

    def configure(self, limits: Limits) -> None:
        """Do nothing: these limits need a restart."""

    def open(self, room: str) -> None:
        """Do nothing: all rooms are open."""

    def hold(self, room: str) -> None:
        """Do nothing: all rooms are open."""

    def release(self, room: str) -> None:
        """Do nothing: all rooms stay open."""

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
        return newest_page([record.posts[position][0] for position in range(first, end)])

    def topic(self, room: str) -> str:
        return self._topics.get(room, "")

    def with_topic(self, prefix: str, after: str, limit: int) -> list[ListedRoom]:
        found: list[ListedRoom] = []
        for name in self._listed.irange(max(prefix, f"{after}\0")):
            if len(found) == limit or not name.startswith(prefix):
                break
            topic, position = self._listed[name], self.position(name)
            found.append(ListedRoom(name=name, topic=topic, members=0, position=position))
        return found

    @property
    def full(self) -> bool:
        return self._rooms_size > self._total_bytes // _ROOMS_SHARE

    def _take_turns(self) -> None:
        while submitted := self._take_submitted():
            began = time.perf_counter()
            batch = self._store(submitted)
            self.store_times.observe(time.perf_counter() - began)
            self._deliver(batch)

    def _store(self, submitted: list[Submission]) -> Batch:
        batch = Batch()
        now = int(time.time() * 1000)
        for each in submitted:
            stored = len(batch.entries)
            try:
                if each.is_topic:
                    self._set_topic(each, batch)
                else:
                    self._add(each, now, batch)
            except Exception:  # a bug; entries stored so far are delivered
                _log.exception("storing a message failed")
                if len(batch.entries) == stored:
                    batch.failed.append(each.number)
        if self._size > self._total_bytes:
            self._trim()
        return batch

    def _add(self, submission: Submission, now: int, batch: Batch) -> None:
        room, client, key = submission.room, submission.client, submission.key
        position = self.position(room) + 1
        record = self._rooms.get(room)
        if record is None:
            record = self._rooms[room] = _Record(position)
        if key is not None:
            stored = record.keys.setdefault((client, key), position)
            if stored != position:
                if record.posts[stored][0].text == submission.text:
                    batch.repeated.append((submission.number, stored))
                else:
                    batch.conflicts.append(submission.number)
                return
        post = Post(room, position, submission.author, now, submission.text, key)
        record.posts[position] = post, client
        self._tops[room] = position
        batch.entries.append((post, submission.number))
        self.posts_stored += 1
        if position == 1:
            self._rooms_size += _ROOM_BYTES
        self._resize(record, _size(post))
        if len(record.posts) > self._posts_per_room:
            self._evict_oldest(record)

    def _set_topic(self, submission: Submission, batch: Batch) -> None:
        """Store a topic; fail it if it is longer than the former one and there is no space."""
        room, topic = submission.room, submission.text
        former = self._topics.get(room, "")
        grows = _topic_size(topic) - _topic_size(former)
        if grows > 0 and self.full:
            batch.failed.append(submission.number)
            return
        self._rooms_size += grows
        for topics in (self._topics, self._listed) if names.listed(room) else (self._topics,):
            if topic:
                topics[room] = topic
            else:
                topics.pop(room, None)
        batch.entries.append(
            (Topic(room=room, topic=topic, by=submission.author), submission.number)
        )

    def _trim(self) -> None:
        """Evict the oldest posts of the largest rooms, or of some more than half as large."""
        for records in reversed(self._by_size):
            while records and self._size > self._total_bytes:
                self._evict_oldest(next(iter(records)))

    def _evict_oldest(self, record: _Record) -> None:
        """Evict the oldest post of a room, and the record with its last post."""
        post, client = record.posts.pop(record.oldest)
        self.posts_trimmed += 1
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
