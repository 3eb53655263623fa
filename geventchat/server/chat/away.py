"""Clients that lost their connection and may come back: who holds a nick meanwhile."""

import math
import time
from dataclasses import dataclass

from geventchat.server.chat.room import Room
from geventchat.server.participant import Participant
from geventchat.server.people.account import Account
from geventchat.server.transport.token_bucket import TokenBucket


@dataclass(eq=False, slots=True)
class Away:
    """A client that lost its connection; its nick is held until a monotonic time."""

    client: bytes
    nick: str
    rooms: list[Room]
    pace: TokenBucket | None
    """Its rate limit, which a reconnect does not reset."""
    account: Account | None = None
    until: float = 0.0


def whose(owner: Participant | Away | Account) -> str:
    """Return why a nick of this owner cannot be had, and until when. Never waits."""
    if isinstance(owner, Account):
        return "belongs to an account"
    if not isinstance(owner, Away):
        return "is in use"
    seconds = max(math.ceil(owner.until - time.monotonic()), 1)
    return f"is held for its former user for {seconds} more seconds"
