"""Events about posts that are stored already."""

from geventchat.protocol.events.base import Answer
from geventchat.protocol.events.chat import Post


class Edited(Answer, tag="edited", frozen=True, kw_only=True):
    """A post has another text now."""

    room: str
    position: int
    change: int
    """The number of this change in its room."""
    text: str
    by: str
    account: str | None = None
    """Of `by`."""


class Redacted(Answer, tag="redacted", frozen=True, kw_only=True):
    """A post was taken back; its text is gone."""

    room: str
    position: int
    change: int
    """The number of this change in its room."""
    by: str
    account: str | None = None
    """Of `by`."""


class Found(Answer, tag="found", frozen=True, kw_only=True):
    """What a search found, the newest first."""

    posts: list[Post]
    complete: bool
    """Whether the search was not cut short by its time limit."""
    before: int | None = None
    """For `before` of the next page; None: nothing older was found."""
