"""Reads posts and changes by the page: one round trip for up to 200 of them, or a page of bytes.

A script looks at one room at one moment, so what it returns fits together. It may be ahead of the
feed: the caller asks for no post beyond the newest that it knows, and of two states of a post the
one with the higher number holds.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from geventchat.protocol.errors import Refused
from geventchat.protocol.events import ListedRoom, Post
from geventchat.server.timeline import PAGE_BYTES, Change, size_of
from geventchat.server.timeline.changes import MOST_MISSED
from geventchat.server.timeline.redis import keys
from geventchat.server.timeline.redis.engine import Engine, EngineError, Part, Rejected
from geventchat.server.timeline.redis.opening import Openings
from geventchat.server.timeline.redis.scripts import Script
from geventchat.server.timeline.redis.stored import change_of, post_of

_OPEN: Final = Script("open")
_PAGE: Final = Script("page")
_AT: Final = Script("at")
_CHANGES: Final = Script("changes")
_MISSED: Final = Script("missed")
_TOPICS: Final = Script("topics")
_NEWEST: Final = Script("newest")

_MOST: Final = 200
"""Items in one answer: the hub builds posts of that many in about half a millisecond."""
_MOST_ROOMS: Final = 50
"""Rooms in one answer: the engine takes 10 µs for each."""
_OF_A_ROOM: Final = frozenset({"DAMAGED", "WRONGTYPE"})
"""Errors that are about what is stored of one room."""

_log = logging.getLogger(__name__)


class RoomState(NamedTuple):
    """A room as the engine has it, and the last entry of the feed, which all of it is in."""

    top: int
    """The newest position, even if that post was deleted."""
    oldest: int
    """The position of the oldest post; one past `top` if there is none."""
    topic: str
    change: int
    """The number of the newest change, even if that post was deleted."""
    feed: bytes
    """The id of the last entry of the feed."""


class Reader:
    """Everything here waits, and raises Refused `storage`. Any number of greenlets may read."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._openings = Openings(engine, _OPEN)
        self._known_damage: set[tuple[str, str]] = set()

    def open(self, room: str) -> RoomState:
        """Return the state of a room."""
        try:
            top, oldest, topic, change, feed = self._openings.ask(room)
        except EngineError as error:
            raise self._refusal(room, error) from None
        return RoomState(top, oldest, topic.decode(), change, feed)

    def since(self, room: str, after: int, upto: int) -> list[Post]:
        """Return a page of the posts of a room after `after` up to `upto`, oldest first.

        `upto` is at most the newest position.
        """
        return self._page(room, after + 1, upto, 1)

    def before(self, room: str, end: int, limit: int) -> list[Post]:
        """Return a page of the last `limit` posts of a room below `end`, oldest first.

        `end` is at most one past the newest position.
        """
        return self._page(room, end - 1, max(end - limit, 1), -1)[::-1]

    def at(self, room: str, positions: Sequence[int]) -> list[Post]:
        """Return the posts at these positions that are still stored."""
        found: list[Post] = []
        left = list(positions)
        while left:
            stored = self._run(_AT, room, PAGE_BYTES, *left[:_MOST])
            for position, (time, fields) in zip(left, _several(stored, 2), strict=False):
                if fields is not None:
                    found.append(self._post(room, position, time, fields))
            del left[: len(stored) // 2]
        return found

    def missed(self, room: str, position: int, change: int | None) -> int | None:
        """Return the number after which a client has to be told all changes; None: too many."""
        first = -1 if change is None else change
        count = after = 0
        while True:
            most = MOST_MISSED - count
            first, more, after = map(int, self._run(_MISSED, room, position, first, after, most))
            count += more
            if count > MOST_MISSED or not after:
                return first if count <= MOST_MISSED else None

    def changes(self, room: str, after: int, position: int) -> tuple[list[Change], int]:
        """Return a page of the changes after a number of posts up to a position.

        And the number up to which there is no other.
        """
        upto, *stored = self._run(_CHANGES, room, after, position, PAGE_BYTES)
        page: list[Change] = []
        size = 0
        for at, changed in _several(stored, 2):
            try:
                change = change_of(room, int(at), changed)
            except ValueError as error:
                raise self._damaged(room, f"the change at position {int(at)}: {error}") from None
            size += size_of(change)
            if size > PAGE_BYTES and page:
                return page, page[-1].change
            page.append(change)
        return page, int(upto)

    def with_topic(self, prefix: str, after: str, limit: int) -> list[ListedRoom]:
        """Return the first listed rooms after a name that have a topic, by name."""
        found: list[ListedRoom] = []
        for name, topic, position in self._rooms(_TOPICS, prefix, after, limit):
            text = topic.decode("utf-8", "replace")
            found.append(ListedRoom(name=name, topic=text, members=0, position=position))
        return found

    def newest_posts(self, prefix: str) -> list[tuple[str, int, int]]:
        """Return the rooms whose names begin with a character, with their newest posts."""
        return [*self._rooms(_NEWEST, prefix, "", None)]

    def records(self, kind: str) -> list[tuple[str, bytes]]:
        """Return the records of a kind, by id."""
        found: dict[str, bytes] = {}
        cursor = b"0"
        while True:
            command = "HSCAN", keys.records(kind), cursor, "COUNT", _MOST
            try:
                cursor, stored = self._engine.call(*command)
            except EngineError as error:
                raise self._refusal("", error) from None
            found |= {identity.decode(): value for identity, value in _several(stored, 2)}
            if cursor == b"0":
                return sorted(found.items())

    def _page(self, room: str, first: int, last: int, step: int) -> list[Post]:
        """Return the posts from one position to another, until they fill a page."""
        page: list[Post] = []
        size = 0
        while (last - first) * step >= 0 and size < PAGE_BYTES:
            stored = self._run(_PAGE, room, first, last, step, PAGE_BYTES - size)
            oldest, missing, *posts = stored
            if step > 0:
                first = max(first, oldest)
            for time, fields in _several(posts, 2):
                post = self._post(room, first, time, fields)
                size += size_of(post)
                if size > PAGE_BYTES and page:
                    return page
                page.append(post)
                first += step
            if missing:
                raise self._damaged(room, f"the post at position {missing}")
            if not posts:
                break
        return page

    def _rooms(
        self, script: Script, prefix: str, after: str, limit: int | None
    ) -> Iterator[tuple[str, Any, int]]:
        """Yield what a script returns of the rooms after a name, some at a time."""
        low = max(prefix, f"{after}\0")
        while limit is None or limit > 0:
            most = _MOST_ROOMS if limit is None else min(limit, _MOST_ROOMS)
            rooms = _several(self._run(script, prefix, low, most), 3)
            for name, value, number in rooms:
                yield name.decode(), value, number
            if len(rooms) < most:
                return
            low = f"{rooms[-1][0].decode()}\0"
            limit = None if limit is None else limit - most

    def _post(self, room: str, position: int, time: bytes | None, fields: bytes) -> Post:
        try:
            return post_of(room, position, time, fields)
        except ValueError as error:
            raise self._damaged(room, f"the post at position {position}: {error}") from None

    def _run(self, script: Script, *arguments: Part) -> Any:
        try:
            return self._engine.run(script, (), *arguments)
        except EngineError as error:
            raise self._refusal(str(arguments[0]), error) from None

    def _refusal(self, room: str, error: EngineError) -> Refused:
        if isinstance(error, Rejected):
            if error.code in _OF_A_ROOM:
                return self._damaged(room, error.text)
            _log.error("%s refused to read: %s", self._engine.where, error.text)
        return Refused("storage", "The server could not read or write its database.")

    def _damaged(self, room: str, what: str) -> Refused:
        if (room, what) not in self._known_damage:  # once: every join reads it
            self._known_damage.add((room, what))
            _log.error("room %s on %s is damaged: %s", room, self._engine.where, what)
        return Refused("storage", "Some messages in this room are corrupted.")


def _several(stored: Sequence[Any], count: int) -> list[tuple[Any, ...]]:
    """Return so many items at a time."""
    return list(zip(*(iter(stored),) * count, strict=True))
