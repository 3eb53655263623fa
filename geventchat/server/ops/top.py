"""The busiest rooms and the slowest clients.

Their names are unbounded, so they cannot be labels of metrics.
"""

import heapq
import time
from typing import Final

from geventchat.protocol.admin import BusyRoom, SlowClient, Top
from geventchat.server.chat.hub import Hub
from geventchat.server.chat.room import Room
from geventchat.server.participant import Participant
from geventchat.server.slices import in_slices

MOST: Final = 10
"""Rooms and clients in the list."""


def top(hub: Hub) -> Top:
    """Find them among all rooms and clients. Waits."""
    now = time.perf_counter()

    def rate(room: Room) -> float:
        return room.rate(now)

    rooms = [
        BusyRoom(room.shown, round(room.rate(now), 1), len(room.members))
        for room in heapq.nlargest(MOST, in_slices(hub.rooms.values()), rate)
    ]
    clients = [
        SlowClient(session.nick, session.address, session.door, session.outbox.size)
        for session in heapq.nlargest(MOST, in_slices(hub.sessions), _held)
    ]
    return Top(
        [room for room in rooms if room.messages_per_second],
        [client for client in clients if client.outbox_bytes],
    )


def _held(session: Participant) -> int:
    return session.outbox.size
