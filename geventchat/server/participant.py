"""What the chat and the access rules need of a session; nothing below knows more of it."""

from typing import Protocol

from gevent.event import Event

from geventchat.protocol import events
from geventchat.protocol.errors import Reason
from geventchat.server.transport.outbox import Outbox
from geventchat.server.transport.token_bucket import TokenBucket
from geventchat.server.wire import Form


class Participant(Protocol):
    """One client that is connected. Nothing here waits."""

    nick: str
    """Changed by the hub alone."""
    client: bytes
    """Hash of the id of a rich client."""
    form: Form
    outbox: Outbox
    operator: bool
    muted: float
    """Until when it is muted, in seconds since 1970; 0: it is not."""
    locked_out: Reason | None
    """Why it is a member of nothing before its hello is answered; None: it was admitted."""

    @property
    def address(self) -> str:
        """The address it comes from."""

    @property
    def door(self) -> str:
        """The door it came through."""

    @property
    def pace(self) -> TokenBucket | None:
        """How quickly it may speak; None: as it likes."""

    def answer(self, event: events.Event) -> None:
        """Send an event to this client alone."""

    def acknowledged(self) -> None:
        """One of its submissions has its verdict."""

    def charge(self, members: int) -> None:
        """Let an event that so many members hear count against its pace."""

    def check(self) -> None:
        """Raise Ending if it has a reason to end: from then on it changes nothing."""

    def drain(self) -> Event:
        """Let it end when all it has sent so far has its verdict; returns what is set then."""

    def end(self, reason: Reason) -> None:
        """Let it end for this reason, unless it is ending already."""

    def tick(self, now: float) -> None:
        """Do what is due by the monotonic clock, once a second."""
