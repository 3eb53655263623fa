"""The busiest rooms and the slowest clients, for whoever looks at a server.

There is no end to their names, which is why they are no labels of metrics.
"""

import heapq
import time
from collections.abc import Collection, Iterator
from typing import Final, TypeVar

import gevent

from geventchat.protocol.admin import BusyRoom, SlowClient, Top
from geventchat.server.hub import Hub
from geventchat.server.room import Room
from geventchat.server.session import Session

MOST: Final = 10
"""Rooms and clients that are told of."""
_SLICE: Final = 500
"""Rooms or clients looked at before others are served: some 200 us."""

_T = TypeVar("_T")


def top(hub: Hub) -> Top:
    """Sample at every room and client once. Lets others be served in between."""
    now = time.perf_counter()

    def rate(room: Room) -> float:
        return room.rate(now)

    rooms = [
        BusyRoom(room.name, round(room.rate(now), 1), len(room.members))
        for room in heapq.nlargest(MOST, _in_slices(hub.rooms.values()), rate)
    ]
    clients = [
        SlowClient(session.nick, session.address, session.link.door, session.outbox.size)
        for session in heapq.nlargest(MOST, _in_slices(hub.sessions), _held)
    ]
    return Top(
        [room for room in rooms if room.posts_per_second],
        [client for client in clients if client.outbox_bytes],
    )


def _held(session: Session) -> int:
    return session.outbox.size


def _in_slices(items: Collection[_T]) -> Iterator[_T]:
    """Yield the items that there are now."""
    for count, item in enumerate(list(items), start=1):
        yield item
        if not count % _SLICE:
            gevent.sleep(1e-9)
