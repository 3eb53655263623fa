"""The busiest rooms and the slowest clients, and the load of each node.

Their names are unbounded, so they cannot be labels of metrics.
"""

import heapq
import os
import socket
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from geventchat.protocol.admin import BusyRoom, NodeLoad, SlowClient, Top
from geventchat.server.chat.hub import Hub
from geventchat.server.chat.room import Room
from geventchat.server.participant import Participant
from geventchat.server.slices import in_slices

MOST: Final = 10
"""Rooms and clients in the list."""
TOP: Final = "top"
"""The question for these on another node."""
_SECONDS: Final = 1.0
"""How long another node may take to answer."""


def top(hub: Hub) -> Top:
    """Find them among all rooms and clients of this node. Waits."""
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
        [] if hub.timeline.nodes.alone else [_load(hub, clients)],
    )


def top_of_all(hub: Hub) -> Top:
    """Find them on all nodes. Waits up to 1 s for those."""
    answers = hub.questions.ask(TOP, seconds=_SECONDS)
    others = [msgspec.msgpack.decode(each, type=Top) for each in answers.contents.values()]
    others.sort(key=lambda each: [(node.host, node.pid) for node in each.nodes])
    found = merged([top(hub), *others])
    found.silent += answers.silent
    return found


def answer_top(hub: Hub) -> None:
    """Answer other nodes that ask for it from now on. Never waits."""
    hub.questions.answer(TOP, lambda _: msgspec.msgpack.encode(top(hub)))


def merged(found: Sequence[Top]) -> Top:
    """Return the lists of several nodes as one.

    The messages of a room reach each node where it has members.
    """
    rooms: dict[str, BusyRoom] = {}
    for room in (room for each in found for room in each.rooms):
        if (same := rooms.setdefault(room.room, room)) is not room:
            same.members += room.members
            same.messages_per_second = max(same.messages_per_second, room.messages_per_second)
    clients = [client for each in found for client in each.clients]
    return Top(
        heapq.nlargest(MOST, rooms.values(), key=lambda room: room.messages_per_second),
        heapq.nlargest(MOST, clients, key=lambda client: client.outbox_bytes),
        [node for each in found for node in each.nodes],
        [node for each in found for node in each.silent],
    )


def _load(hub: Hub, slowest: Sequence[SlowClient]) -> NodeLoad:
    return NodeLoad(
        name=hub.timeline.nodes.name,
        host=socket.gethostname(),
        pid=os.getpid(),
        connections=len(hub.sessions),
        rooms=len(hub.rooms),
        messages_stored=hub.timeline.posts_stored,
        outbox_bytes=max((client.outbox_bytes for client in slowest), default=0),
        loop_lag_seconds=max(hub.clock.delays),
    )


def _held(session: Participant) -> int:
    return session.outbox.size
