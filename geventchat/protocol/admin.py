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


class Top(msgspec.Struct):
    """The busiest rooms and slowest clients, in descending order."""

    rooms: list[BusyRoom]
    clients: list[SlowClient]
