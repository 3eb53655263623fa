"""The sender: what a session sends to its client, from answers to the last words."""

import random
from collections.abc import Callable
from typing import Final

from geventchat.protocol import events, requests
from geventchat.protocol.errors import (
    LOST,
    QUIT,
    REPLACED,
    SHUTDOWN,
    SLOW,
    STORAGE,
    Ending,
    Reason,
    Refused,
)
from geventchat.server.chat.room import Member
from geventchat.server.transport.base import Link
from geventchat.server.transport.outbox import STALLED_SECONDS, Outbox
from geventchat.server.wire import PLAIN, Form

_GOODBYE_SECONDS: Final = 2.0
"""How long a client has to take what is pending, and then to close its side."""
_AFTER_MS: Final = 200, 3_000
_GENTLE: Final = (LOST, QUIT, SHUTDOWN, STORAGE, REPLACED)
"""Endings before which the client gets everything that is pending."""


class Sender:
    """The part of a session that sends."""

    __slots__ = ("bye_id", "form", "link", "outbox")

    def __init__(self, link: Link, outbox_bytes: int, end: Callable[[Reason], None]) -> None:
        """`end` is called if the client does not take what it is sent."""
        self.link = link
        self.outbox = Outbox(link.sink, outbox_bytes, end)
        self.form: Form = link.form if link.hello_first else PLAIN
        self.bye_id: str | None = None
        """The id of the request that ends the connection."""

    @property
    def rich(self) -> bool:
        """Whether it has said hello."""
        return self.form.rich

    def refuse(self, refusal: Refused, request: requests.Request | None) -> None:
        """Answer a request that a rule refused with `error`. Never waits."""
        self.answer(
            events.Error(
                code=refusal.code,
                text=refusal.text,
                room=refusal.room,
                retry_ms=refusal.retry_ms,
                id=request.id if request else None,
                key=getattr(request, "key", None),
            )
        )

    def answer(self, event: events.Event) -> None:
        """Send an event to this client alone. Never waits."""
        if frame := self.form.encode(event):
            self.put(frame)

    def reply(self, event: events.Event, *members: Member) -> None:
        """Answer a request of this client. Waits while its outbox has no room. Raises Ending.

        What only members may receive names the memberships: raises Refused `not_joined`, and sends
        nothing, if one has ended meanwhile.
        """
        self.put(self._once_there_is_room(event, *members))

    def reply_with_posts(self, event: events.Event, *members: Member) -> bool:
        """Answer, as `reply` does, with posts of the rooms of some members; return whether it did.

        It has not if posts there were changed meanwhile: they may be redacted, and have to be read
        again. Waits.
        """
        changes = [member.room.newest_change for member in members]
        frames = self._once_there_is_room(event, *members)
        if changes != [member.room.newest_change for member in members]:
            return False
        self.put(frames)
        return True

    def _once_there_is_room(self, event: events.Event, *members: Member) -> bytes:
        frame = self.form.encode(event)
        if not self.outbox.wait_for_room(len(frame), STALLED_SECONDS):
            raise Ending(SLOW)
        for member in members:
            if not member.active:
                raise not_joined(member.room.name)
        return frame

    def put(self, whole_frames: bytes) -> None:
        """Send encoded frames to this client alone. Never waits."""
        self.outbox.put(whole_frames)
        self.outbox.flush()

    def _close(self, reason: Reason) -> None:
        """Say the last words and close the connection. Waits."""
        last = b""
        if self.rich and reason is not LOST:
            last = self.form.encode(self._bye(reason))
        elif reason not in (LOST, QUIT):
            last = self.link.farewell(reason)
        last += self.link.end(reason)
        self.outbox.finish(last, all_of_it=reason in _GENTLE, seconds=_GOODBYE_SECONDS)
        self.link.close(_GOODBYE_SECONDS)

    def _bye(self, reason: Reason) -> events.Bye:
        return events.Bye(
            code=reason.code,
            text=reason.text,
            reconnect=reason.reconnect,
            # Spread, or all clients would reconnect at once.
            after_ms=random.randint(*_AFTER_MS) if reason.reconnect else 0,
            id=self.bye_id,
        )


def not_joined(room: str) -> Refused:
    """Return the refusal for a room that the client is not in."""
    return Refused("not_joined", f"You are not in {room}. Join it first.", room=room)


def unopened(room: str) -> Refused:
    """Return the refusal for a room that the client is to be in, but that could not be read."""
    return Refused("storage", f"The server cannot open {room} now. Try again later.", room=room)
