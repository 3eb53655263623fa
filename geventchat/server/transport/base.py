"""The link: a session's way to its socket, whichever door it came through."""

from collections.abc import Iterator
from typing import Final, Protocol

from geventchat.server.limits import Pace
from geventchat.server.outbox import Sink

DOORS: Final = "tcp", "tls"
"""The ways in."""


class Link(Sink, Protocol):
    """What every door hands to its session. `try_send` and `send` are the outbox's."""

    peer: str
    """Where it comes from, for logs."""
    door: str
    """Which of the DOORS it came through."""
    heard: float
    """When bytes last came, by the monotonic clock."""
    begun: float
    """When the frame began that is not complete yet, by the same clock; 0: there is none."""
    pace: Pace | None
    """How quickly its client may speak, None: as it likes."""
    listening: bool
    """Whether the session waits for the client, and not the client for the session."""

    def open(self, seconds: float) -> None:
        """Make ready to talk, within so many seconds. Waits. Raises OSError."""

    def frames(self) -> Iterator[bytes]:
        """Yield the frames as they come, none of them empty, until the client sends no more.

        Waits. Raises ProtocolError with the reason that ends the connection.
        """

    def drain(self) -> None:
        """Let `frames` end once it has given what has come so far. Never waits."""

    def close(self, seconds: float) -> None:
        """End sending, read on up to `seconds` so that the last words arrive, close. Waits."""
