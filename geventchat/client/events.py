"""Events of the client itself, in addition to those of the server."""

from dataclasses import dataclass

from geventchat.protocol.events import AnyEvent, Bye


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection ended, and is being re-established; messages are queued until then."""

    bye: Bye
    """Why it ended; `lost` if the connection was lost."""


@dataclass(frozen=True, slots=True)
class ReconnectFailed:
    """An attempt to reconnect failed, for another reason than the one before."""

    why: str


@dataclass(frozen=True, slots=True)
class Reconnected:
    """The connection is back. A Joined follows for each room, after a Gap if posts are lost.

    The nick may have changed, if another client has taken it.
    """

    nick: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Posts after a position were lost for this client; newer ones follow.

    What it has of the room may have been edited or redacted meanwhile: it should be forgotten.
    """

    room: str
    after: int


ClientEvent = AnyEvent | Disconnected | ReconnectFailed | Reconnected | Gap
