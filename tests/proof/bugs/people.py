"""Bugs in what the server keeps of people, and shows them."""

import secrets
from collections.abc import Callable
from typing import Any, Final

from gevent.event import AsyncResult
from msgspec.structs import replace

from geventchat.server.people.account import Membership
from geventchat.server.people.login import Login
from geventchat.server.people.marks import Marks
from geventchat.server.people.people import People
from geventchat.server.people.records import Kept, Records
from geventchat.server.search.index import Index
from geventchat.server.timeline import Batch, Submission
from geventchat.server.timeline.sqlite.store import Store
from tests.proof.bugs.every import now


def forget_what_was_kept() -> None:
    """Acknowledge what is kept of people before it is stored, and store it never, now and then."""
    real = Records.note

    def note(self: Records, *changed: Kept) -> "AsyncResult[Any]":
        if not now("records", 3):
            return real(self, *changed)
        written: AsyncResult[Any] = AsyncResult()
        written.set(None)
        return written

    Records.note = note  # type: ignore[method-assign]


def keep_revoked_sessions() -> None:
    """Do not delete the record of a session that was revoked."""
    real = Login.value

    def value(self: Login) -> object:
        self.ended, ended = False, self.ended
        try:
            return real(self)
        finally:
            self.ended = ended

    Login.value = value  # type: ignore[method-assign]


def keep_ended_memberships() -> None:
    """Do not delete the record of a membership that has ended."""
    real = Membership.value

    def value(self: Membership) -> object:
        self.ended, ended = False, self.ended
        try:
            return real(self)
        finally:
            self.ended = ended

    Membership.value = value  # type: ignore[method-assign]


def move_marks_back() -> None:
    """Let a read mark go backwards."""

    def read_to(self: Membership, position: int) -> bool:
        self.read = position
        return True

    Membership.read_to = read_to  # type: ignore[method-assign]


def do_not_catch_up() -> None:
    """Do not count after a crash what was stored before it, and was not counted yet."""
    Marks.catch_up = lambda self, newest: None  # type: ignore[method-assign]


def show_what_was_before() -> None:
    """Show newcomers of a private room all of it, although it was made with `history: joined`."""
    People.hidden = lambda self, account, room: 0  # type: ignore[method-assign]


def forget_keys_of_webhooks() -> None:
    """Store a repeated message of a webhook a second time."""
    real = Store.store

    def store(self: Store, submitted: list[Submission]) -> Batch:
        changed = [replace(s, client=secrets.token_bytes(16)) if s.hook else s for s in submitted]
        return real(self, changed)

    Store.store = store  # type: ignore[method-assign]


def leave_words() -> None:
    """Leave the words of redacted texts in the index for search."""

    def merge(self: Index) -> None:
        self._merging = False

    Index._merge = merge  # type: ignore[method-assign]


CAUGHT_BY: Final[dict[Callable[[], None], tuple[str, ...]]] = {
    forget_what_was_kept: ("forgotten", "receded"),
    keep_revoked_sessions: ("forgotten",),
    keep_ended_memberships: ("forgotten", "leaked", "unheard"),
    move_marks_back: ("receded",),
    do_not_catch_up: ("miscounted",),
    show_what_was_before: ("leaked",),
    forget_keys_of_webhooks: ("doubled",),
    leave_words: ("remains",),
}
