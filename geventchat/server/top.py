"""The busiest rooms and the slowest clients, for whoever looks at a server.

There is no end to their names, which is why they are no labels of metrics.
"""

import heapq
import time
from typing import Final

import msgspec

from geventchat.server.hub import Hub
from geventchat.server.room import Room
from geventchat.server.session import Session
from geventchat.server.slices import in_slices

MOST: Final = 10
"""Rooms and clients that are told of."""


class Busy(msgspec.Struct):
    """A room in which something was said of late."""

    room: str
    posts_per_second: float
    members: int


class Slow(msgspec.Struct):
    """A client that has still to hear something."""

    nick: str
    address: str
    transport: str
    outbox_bytes: int


class Top(msgspec.Struct):
    """What is most, first."""

    rooms: list[Busy]
    clients: list[Slow]


def top(hub: Hub) -> Top:
    """Look at every room and client once. Lets others be served in between."""
    now = time.perf_counter()

    def rate(room: Room) -> float:
        return room.rate(now)

    rooms = [
        Busy(room.name, round(room.rate(now), 1), len(room.members))
        for room in heapq.nlargest(MOST, in_slices(hub.rooms.values()), rate)
    ]
    clients = [
        Slow(session.nick, session.address, session.link.door, session.outbox.size)
        for session in heapq.nlargest(MOST, in_slices(hub.sessions), _held)
    ]
    return Top(
        [room for room in rooms if room.posts_per_second],
        [client for client in clients if client.outbox_bytes],
    )


def _held(session: Session) -> int:
    return session.outbox.size
