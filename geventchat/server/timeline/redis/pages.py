"""Pages of posts and changes: the newest from memory, the others from the engine."""

from geventchat.protocol.events import Post, Topic
from geventchat.server.timeline import Change, Entry
from geventchat.server.timeline.changes import latest
from geventchat.server.timeline.meanwhile import Meanwhile
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
        self._meanwhile = Meanwhile()

    def hear(self, entry: Entry) -> None:
        """Follow an entry of the feed. Never waits."""
        if isinstance(entry, Post):
            self._recent.add(entry)
        elif not isinstance(entry, Topic):
            self._recent.change(entry)
            self._meanwhile.hear(entry)

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
        with self._meanwhile.reading(room) as meanwhile:
            page, upto = self.reader.changes(room, after, position)
        return latest(page, meanwhile), upto  # one that is superseded is for the next page

    def since(self, room: str, after: int, upto: int) -> list[Post]:
        """Return a page of the posts after a position up to another, oldest first."""
        known = self._rooms.get(room)
        after, upto = max(after, known.oldest - 1), min(upto, known.top)
        page = self._recent.since(room, after, upto)
        if page is None:
            page = self._meanwhile.posts(room, lambda: self.reader.since(room, after, upto))
        return page

    def before(self, room: str, end: int, limit: int) -> list[Post]:
        """Return a page of the last posts below a position, oldest first."""
        known = self._rooms.get(room)
        end = min(end, known.top + 1)
        page = self._recent.before(room, max(end - limit, known.oldest), end)
        if page is None:
            page = self._meanwhile.posts(room, lambda: self.reader.before(room, end, limit))
        return page
