"""What an admin port answers at `/top`, for whoever looks at a server."""

import msgspec


class BusyRoom(msgspec.Struct):
    """A room in which something was said of late."""

    room: str
    posts_per_second: float
    members: int


class SlowClient(msgspec.Struct):
    """A client that has still to hear something."""

    nick: str
    address: str
    door: str
    outbox_bytes: int


class Top(msgspec.Struct):
    """What is most, first."""

    rooms: list[BusyRoom]
    clients: list[SlowClient]
