"""The timeline in memory: the fastest, lost when the process ends."""

import logging
import secrets
import sys
import time
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from sortedcontainers import SortedDict

from geventchat.config import Limits
from geventchat.protocol import names
from geventchat.protocol.events import ListedRoom, Post, Topic
from geventchat.server.timeline import (
    PAGE_BYTES,
    Batch,
    Change,
    RecordChange,
    Submission,
    Timeline,
    newest_page,
    size_of,
)
from geventchat.server.timeline.changes import (
    MOST_MISSED,
    changed,
    changes_nothing,
    event_of,
    refusal,
)

_POST_BYTES: Final = 400
"""Memory for a post without its text: objects, index, key. Measured, CPython 3.11."""
_ROOM_BYTES: Final = 200
"""Memory for the name and newest position of a room."""
_CHANGES_BYTES: Final = 100
"""Memory for the number of a room's newest change."""
_CHANGE_BYTES: Final = 300
"""Memory for what is known of a post's latest change."""
_ROOMS_SHARE: Final = 4
"""Names, newest positions and topics, which are never deleted, may take 1/4 of all bytes."""

_log = logging.getLogger(__name__)


class _Changed(NamedTuple):
    """The latest change of a post."""

    position: int
    top: int
    """The newest position of the room when it was made."""
    by: str
    account: str | None


class _Record:
    """One room's posts by position; exists while there are any."""

    __slots__ = ("changes", "keys", "oldest", "posts", "size")

    def __init__(self, oldest: int) -> None:
        self.oldest = oldest
        self.posts: dict[int, tuple[Post, bytes]] = {}
        self.keys: dict[tuple[bytes, str], int] = {}
        self.changes = SortedDict()
        """The latest change of each changed post, by number."""
        self.size = 0


def _size(post: Post) -> int:
    changed = _CHANGE_BYTES if post.change else 0
    return sys.getsizeof(post.text) + _POST_BYTES + changed


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
        self._changes: dict[str, int] = {}
        """The numbers of the newest changes."""
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

    def change(self, room: str) -> int:
        return self._changes.get(room, 0)

    def missed(self, room: str, position: int, change: int | None) -> int | None:
        record = self._rooms.get(room)
        changes = record.changes if record is not None else SortedDict()
        if change is None:
            first = bisect_left(changes.keys(), position, key=lambda each: changes[each].top)
            change = changes.keys()[first] - 1 if first < len(changes) else self.change(room)
        count = 0
        for number in changes.irange(change + 1):
            count += changes[number].position <= position
            if count > MOST_MISSED:
                return None
        return change

    def changes(self, room: str, after: int, position: int) -> tuple[list[Change], int]:
        record = self._rooms.get(room)
        page: list[Change] = []
        size = 0
        if record is None:
            return page, self.change(room)
        for number in record.changes.irange(after + 1):
            each = record.changes[number]
            if each.position > position:
                continue
            event = event_of(record.posts[each.position][0], each.by, each.account)
            size += size_of(event)
            if size > PAGE_BYTES and page:
                return page, page[-1].change
            page.append(event)
        return page, self.change(room)

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

    def at(self, room: str, positions: Sequence[int]) -> list[Post]:
        record = self._rooms.get(room)
        if record is None:
            return []
        return [record.posts[each][0] for each in positions if each in record.posts]

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

    def newest_posts(self, prefix: str) -> list[tuple[str, int, int]]:
        return []

    def records(self, kind: str) -> list[tuple[str, bytes]]:
        return []

    def keep(self, changes: Sequence[RecordChange]) -> None:
        """Do nothing: who keeps records has them in memory, too."""

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
                if each.kind == "say":
                    self._add(each, now, batch)
                elif each.kind == "topic":
                    self._set_topic(each, batch)
                else:
                    self._change(each, batch)
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
                post = record.posts[stored][0]
                if post.change or post.text == submission.text:
                    batch.repeated.append((submission.number, stored))
                else:
                    batch.conflicts.append(submission.number)
                return
        post = Post(
            room, position, submission.author, now, submission.text, key, submission.account,
            hook=submission.hook,
        )  # fmt: skip
        record.posts[position] = post, client
        self._tops[room] = position
        batch.entries.append((post, submission.number))
        self.posts_stored += 1
        if position == 1:
            self._rooms_size += _ROOM_BYTES
        self._resize(record, _size(post))
        if len(record.posts) > self._posts_per_room:
            self._evict_oldest(record)

    def _change(self, submission: Submission, batch: Batch) -> None:
        room, position = submission.room, submission.position
        record = self._rooms.get(room)
        found = record.posts.get(position) if record is not None else None
        post, client = found or (None, b"")
        if (why := refusal(submission, post, client)) is not None:
            batch.refused.append((submission.number, why))
            return
        assert record is not None
        assert post is not None
        if changes_nothing(submission, post):
            event = event_of(post, submission.author, submission.account)
            batch.unchanged.append((submission.number, event))
            return
        change = self._changes[room] = self.change(room) + 1
        if change == 1:
            self._rooms_size += _CHANGES_BYTES
        if post.change:
            del record.changes[post.change]
        now = changed(post, submission, change)
        by, account = submission.author, submission.account
        record.posts[position] = now, client
        record.changes[change] = _Changed(position, self.position(room), by, account)
        batch.entries.append((event_of(now, by, account), submission.number))
        self._resize(record, _size(now) - _size(post))

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
        if post.change:
            del record.changes[post.change]
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
