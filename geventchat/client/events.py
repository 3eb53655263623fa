"""What a connection tells its application besides what the server says."""

from dataclasses import dataclass

from geventchat.protocol.events import AnyEvent, Bye


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection ended, and is being made again; what is said now is sent then."""

    bye: Bye
    """How it ended; a loss has the code `lost`."""


@dataclass(frozen=True, slots=True)
class ReconnectFailed:
    """An attempt to make it again failed, for another reason than was told before."""

    why: str


@dataclass(frozen=True, slots=True)
class Reconnected:
    """It was made again. Each room's Joined follows, with a Gap before it if something is missing.

    The nick may be another one, if the former is somebody else's by now.
    """

    nick: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Posts of a room that followed a position were lost for this client; newer ones follow."""

    room: str
    after: int


ClientEvent = AnyEvent | Disconnected | ReconnectFailed | Reconnected | Gap
