"""Edits and redactions of posts: the rules that every timeline keeps. Nothing here waits."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, TypeAlias

from msgspec.structs import replace

from geventchat.protocol.errors import ErrorCode
from geventchat.protocol.events import Edited, Post, Redacted
from geventchat.server.timeline.submission import Submission

Change: TypeAlias = Edited | Redacted
"""What members hear of a changed post."""

MOST_MISSED: Final = 500
"""Changes that a client which resumes is told; with more it has to start anew."""


class Refusal(NamedTuple):
    """Why a post is not changed."""

    code: ErrorCode
    text: str


NO_POST: Final = Refusal("no_such_post", "There is no such post, or not any more.")
OF_OTHERS: Final = Refusal("forbidden", "That is not your post.")
REDACTED: Final = Refusal("forbidden", "That post was redacted.")


def refusal(submission: Submission, post: Post | None, client: bytes) -> Refusal | None:
    """Return why a submission may not change a post, whose author has this hash of a client.

    The author is the account, or without one the client; a webhook cannot change its posts.
    """
    if post is None:
        return NO_POST
    if not (submission.kind == "redact" and submission.may_redact_any):
        if post.account is not None:
            own = post.account == submission.account
        else:
            own = bool(client) and client == submission.client and not post.hook
        if not own:
            return OF_OTHERS
    return REDACTED if post.redacted and submission.kind == "edit" else None


def changes_nothing(submission: Submission, post: Post) -> bool:
    """Return whether a post is already as a submission wants it."""
    return post.redacted if submission.kind == "redact" else post.text == submission.text


def changed(post: Post, submission: Submission, change: int) -> Post:
    """Return a post as it is after a submission has changed it."""
    redacted = submission.kind == "redact"
    text = "" if redacted else submission.text
    return replace(post, text=text, change=change, redacted=redacted)


def event_of(post: Post, by: str, account: str | None) -> Change:
    """Return the event that tells of the latest change of a post."""
    room, position, change = post.room, post.position, post.change
    if post.redacted:
        return Redacted(room=room, position=position, change=change, by=by, account=account)
    return Edited(
        room=room, position=position, change=change, text=post.text, by=by, account=account
    )


def applied(post: Post, change: Change) -> Post:
    """Return a post as it is after a change, unless it is the state after a later one."""
    if change.change <= post.change:
        return post
    if isinstance(change, Redacted):
        return replace(post, text="", change=change.change, redacted=True)
    return replace(post, text=change.text, change=change.change)


def latest(read: Iterable[Change], heard: Mapping[int, Change]) -> list[Change]:
    """Return the changes that were read and are not superseded by those heard meanwhile.

    `heard`: the last of each position. What was read may also be ahead of what was heard.
    """
    return [
        each
        for each in read
        if each.position not in heard or heard[each.position].change <= each.change
    ]
