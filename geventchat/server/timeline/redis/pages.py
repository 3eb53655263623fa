"""Pages of posts and changes: the newest from memory, the others from the engine."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from geventchat.protocol.events import Post, Topic
from geventchat.server.timeline import Change, Entry
from geventchat.server.timeline.changes import applied, latest
from geventchat.server.timeline.recent import RecentPosts
from geventchat.server.timeline.redis.reader import Reader
from geventchat.server.timeline.redis.rooms import OpenRooms


class Pages:
    """What can be read of open rooms. A page has nothing that the feed has not brought yet.

    All but `hear` and `begin` may wait, and raise Refused `storage`.
    """

    def __init__(self, rooms: OpenRooms, reader: Reader, recent_bytes: int) -> None:
        self.reader = reader
        self._rooms = rooms
        self._recent = RecentPosts(recent_bytes)
        self._readers: dict[str, list[dict[int, Change]]] = {}
        """The changes since each read that is under way in a room began."""

    def hear(self, entry: Entry) -> None:
        """Follow an entry of the feed. Never waits."""
        if isinstance(entry, Post):
            self._recent.add(entry)
        elif not isinstance(entry, Topic):
            self._recent.change(entry)
            for changes in self._readers.get(entry.room, ()):
                changes[entry.position] = entry

    def begin(self, reader: Reader) -> None:
        """Forget all posts, since the life that they are of has ended. Never waits."""
        self.reader = reader
        self._recent.clear()

    def missed(self, room: str, position: int, change: int | None) -> int | None:
        """Return the number after which a client has to be told all changes; None: too many."""
        newest = self._rooms.get(room).change
        if change is None and not newest:
            change = 0
        if change is not None and change >= newest:
            return change
        return self.reader.missed(room, position, change)

    def changes(self, room: str, after: int, position: int) -> tuple[list[Change], int]:
        """Return a page of the changes after a number, and up to where there is no other."""
        with self._changed_meanwhile(room) as meanwhile:
            page, upto = self.reader.changes(room, after, position)
        return latest(page, meanwhile), upto  # one that is superseded is for the next page

    def since(self, room: str, after: int, upto: int) -> list[Post]:
        """Return a page of the posts after a position up to another, oldest first."""
        known = self._rooms.get(room)
        after, upto = max(after, known.oldest - 1), min(upto, known.top)
        page = self._recent.since(room, after, upto)
        return self._read(room, self.reader.since, after, upto) if page is None else page

    def before(self, room: str, end: int, limit: int) -> list[Post]:
        """Return a page of the last posts below a position, oldest first."""
        known = self._rooms.get(room)
        end = min(end, known.top + 1)
        page = self._recent.before(room, max(end - limit, known.oldest), end)
        return self._read(room, self.reader.before, end, limit) if page is None else page

    def _read(
        self, room: str, read: Callable[[str, int, int], list[Post]], *limits: int
    ) -> list[Post]:
        """Read a page from the engine; a post that is changed meanwhile is as it is then."""
        with self._changed_meanwhile(room) as meanwhile:
            page = read(room, *limits)
        if meanwhile:
            for place, post in enumerate(page):
                if (change := meanwhile.get(post.position)) is not None:
                    page[place] = applied(post, change)
        return page

    @contextmanager
    def _changed_meanwhile(self, room: str) -> Iterator[dict[int, Change]]:
        """Collect the changes in a room, by position, that are heard while it is read."""
        changes: dict[int, Change] = {}
        readers = self._readers.setdefault(room, [])
        readers.append(changes)
        try:
            yield changes
        finally:
            # By identity: two that are empty are equal.
            readers[:] = [each for each in readers if each is not changes]
            if not readers:
                self._readers.pop(room, None)
