"""The interface of a session that the chat and the access rules use."""

from typing import Protocol

from gevent.event import Event

from geventchat.protocol import events
from geventchat.protocol.errors import Reason
from geventchat.server.people.account import Account
from geventchat.server.people.login import Login
from geventchat.server.transport.outbox import Outbox
from geventchat.server.transport.token_bucket import TokenBucket
from geventchat.server.wire import Form


class Participant(Protocol):
    """A connected client. Nothing here waits."""

    nick: str
    """Changed only by the hub."""
    client: bytes
    """Hash of the id of a rich client."""
    account: Account | None
    """The account that is signed in; None: a guest. Changed only by the hub."""
    login: Login | None
    """What it signed in with. Set together with the account, in one stretch."""
    form: Form
    outbox: Outbox
    operator: bool
    muted: float
    """End of its mute in seconds since 1970; 0: not muted."""
    locked_out: Reason | None
    """Why it is a member of no room before its hello is answered; None: admitted."""

    @property
    def address(self) -> str:
        """The address of the client."""

    @property
    def door(self) -> str:
        """The name of the door that accepted it."""

    @property
    def pace(self) -> TokenBucket | None:
        """The rate limit of its messages; None: unlimited."""

    def answer(self, event: events.Event) -> None:
        """Send an event to this client alone."""

    def acknowledged(self) -> None:
        """Count one of its submissions as acknowledged."""

    def charge(self, members: int) -> None:
        """Charge an event for that many recipients to its rate limit."""

    def check(self) -> None:
        """Raise Ending if it is ending: from then on it must not change anything."""

    def follow(self, room: str) -> None:
        """Have it join a room that its account is in, when it has done what it is doing."""

    def unfollow(self, room: str) -> bool:
        """Forget a room that its account has left; return whether it still has to be told."""

    def drain(self) -> Event:
        """End it once all it has sent is acknowledged; return the event that is set then."""

    def end(self, reason: Reason) -> None:
        """End it for this reason, unless it is ending already."""

    def tick(self, now: float) -> None:
        """Run its timeouts; `now` is the monotonic time. Called once a second."""
