"""What is changed in a room while a page of it is read, from a disk or over a network."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from geventchat.protocol.events import Post
from geventchat.server.timeline import Change
from geventchat.server.timeline.changes import applied


class Meanwhile:
    """The reads that are under way, each with the changes since it began."""

    def __init__(self) -> None:
        self._readers: dict[str, list[dict[int, Change]]] = {}

    def hear(self, change: Change) -> None:
        """Note a change for the reads of its room. Never waits."""
        for changes in self._readers.get(change.room, ()):
            changes[change.position] = change

    @contextmanager
    def reading(self, room: str) -> Iterator[dict[int, Change]]:
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

    def posts(self, room: str, read: Callable[[], list[Post]]) -> list[Post]:
        """Read a page; a post that is changed meanwhile is as it is then. Waits as `read` does."""
        with self.reading(room) as changes:
            page = read()
        if changes:
            for place, post in enumerate(page):
                if (change := changes.get(post.position)) is not None:
                    page[place] = applied(post, change)
        return page
