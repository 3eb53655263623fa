"""The reply of the admin port to `/top`."""

import msgspec


class BusyRoom(msgspec.Struct):
    """A room with recent messages."""

    room: str
    messages_per_second: float
    members: int


class SlowClient(msgspec.Struct):
    """A client with queued bytes."""

    nick: str
    address: str
    door: str
    outbox_bytes: int


class NodeLoad(msgspec.Struct):
    """The load of one of several nodes on a store."""

    name: str
    host: str
    pid: int
    connections: int
    rooms: int
    messages_stored: int
    """Since it started; what its own clients said."""
    outbox_bytes: int
    """Of the client that has the most to receive."""
    loop_lag_seconds: float
    """The longest delay of its event loop in the last minute."""


class Top(msgspec.Struct, omit_defaults=True):
    """The busiest rooms and slowest clients of all nodes, in descending order."""

    rooms: list[BusyRoom]
    clients: list[SlowClient]
    nodes: list[NodeLoad] = []
    """The one that was asked is the first; none: there are no others."""
    silent: list[str] = []
    """The names of nodes that did not answer."""
