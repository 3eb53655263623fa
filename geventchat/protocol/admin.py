"""The response of the admin port at `/top`."""

import msgspec


class BusyRoom(msgspec.Struct):
    """A room with recent messages."""

    room: str
    messages_per_second: float
    members: int


class SlowClient(msgspec.Struct):
    """A client with bytes queued."""

    nick: str
    address: str
    door: str
    outbox_bytes: int


class Top(msgspec.Struct):
    """The busiest rooms and the slowest clients, in that order."""

    rooms: list[BusyRoom]
    clients: list[SlowClient]
