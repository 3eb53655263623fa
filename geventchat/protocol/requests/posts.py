"""Requests about posts that are stored already."""

from typing import Annotated

from msgspec import Meta

from geventchat.protocol.requests.base import Position, Request


class Edit(Request, tag="edit", frozen=True, kw_only=True):
    """Replaces the text of one's own post."""

    room: str
    position: Position
    text: Annotated[str, Meta(min_length=1)]


class Redact(Request, tag="redact", frozen=True, kw_only=True):
    """Takes back a post: one's own, or as a moderator or operator anybody's."""

    room: str
    position: Position


class Search(Request, tag="search", frozen=True, kw_only=True):
    """Finds posts in the rooms one is in, the newest first."""

    text: Annotated[str, Meta(min_length=1, max_length=200)]
    room: str | None = None
    """Absent: all of one's rooms."""
    author: Annotated[str, Meta(max_length=128)] | None = None
    before: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    """Only posts older than this: milliseconds since 1970, UTC."""
    limit: Annotated[int, Meta(ge=1, le=100)] | None = None
    """Maximum number of posts; absent: 50."""
