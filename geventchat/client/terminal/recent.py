"""The newest posts of a room that a user has seen: which of them can be edited and redacted.

They have their present text; nothing is kept of a former one.
"""

from collections.abc import Iterator, MutableSequence
from typing import Any, Final

from msgspec.structs import replace

from geventchat.protocol.events import Edited, Post, Redacted

MAX_POSTS: Final = 500


class RecentPosts:
    """The newest posts of one room, by position."""

    __slots__ = ("_own", "_posts")

    def __init__(self) -> None:
        self._posts: dict[int, Post] = {}
        self._own: set[int] = set()

    def add(self, post: Post, *, own: bool) -> None:
        """Add a post that was received."""
        self._posts[post.position] = post
        if own:
            self._own.add(post.position)
        if len(self._posts) > MAX_POSTS:
            first = next(iter(self._posts))
            del self._posts[first]
            self._own.discard(first)

    def change(self, change: Edited | Redacted) -> Post | None:
        """Change a post; return it as it is now, or None if it is not known."""
        post = self._posts.get(change.position)
        if post is not None:
            post = self._posts[change.position] = changed(post, change)
        return post

    def last_own(self) -> Post | None:
        """Return the newest post of the user that is not redacted, if there is one."""
        return next((post for post in self.newest() if post.position in self._own), None)

    def newest(self) -> Iterator[Post]:
        """Yield the posts that are not redacted, the newest first."""
        for position in sorted(self._posts, reverse=True):
            if not self._posts[position].redacted:
                yield self._posts[position]

    def clear(self) -> None:
        """Forget all posts: some may have changed unnoticed."""
        self._posts.clear()
        self._own.clear()


def change_waiting(waiting: MutableSequence[Any], change: Edited | Redacted) -> Post | None:
    """Change a post among those that are not shown yet; return it as it was, if it is there."""
    for place, item in enumerate(waiting):
        if isinstance(item, Post) and item.position == change.position:
            waiting[place] = changed(item, change)
            return item
    return None


def changed(post: Post, change: Edited | Redacted) -> Post:
    """Return a post as it is after a change, unless it is the state after a later one."""
    if change.change <= post.change:
        return post
    if isinstance(change, Redacted):
        return replace(post, text="", change=change.change, redacted=True)
    return replace(post, text=change.text, change=change.change)
