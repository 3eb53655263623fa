"""The list of the rooms of a server, by the page.

Rooms with members come from the directory, the most first; then those that have only a topic from
the timeline, by name. A page ends at a place in this order, which the cursor for the next one
spells: a number of members and a name. So the list costs nothing while nobody reads it, and a room
that moves meanwhile may be missed or repeated.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from geventchat.protocol import events, names, requests
from geventchat.protocol.errors import Refused
from geventchat.protocol.events import ListedRoom
from geventchat.server.session.session import Session
from geventchat.server.timeline import PAGE_BYTES, Timeline

_ROOMS: Final = 50
"""Rooms on a page, unless the client says how many."""
_READ: Final = 200
"""Rooms with a topic that are read at a time, after the first time."""
_MOST_EXAMINED: Final = 1_000
"""Rooms that are examined for a page: many of those with a topic may have members, too."""
_ROOM_BYTES: Final = 100
"""Size of a room on the wire without its name and topic, or a little more."""


class _Place(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A place in the order of the list."""

    members: Annotated[int, Meta(ge=0, le=2**53)]
    name: Annotated[str, Meta(max_length=names.MAX_NAME_LENGTH)]


_decoder: Final = msgspec.msgpack.Decoder(_Place)


def page(session: Session, request: requests.Rooms) -> events.RoomList:
    """Return a page of the list, and charge for what it took.

    Waits if it comes to rooms without members. Raises Refused `bad_field` and `storage`.
    """
    limit = request.limit or _ROOMS
    place = _place(request.after) if request.after is not None else None
    directory = session.hub.directory
    rooms: list[ListedRoom] = []
    size = examined = 0
    more = False
    for room in _after(session, place, names.fold(request.prefix or ""), limit + 1):
        fresh = room.members or room.name not in directory  # else it came with its members
        size += _size(room) if fresh else 0
        full = fresh and (len(rooms) == limit or size > PAGE_BYTES)
        if full or examined == _MOST_EXAMINED:
            more = True
            break
        if fresh:
            rooms.append(room)
        examined += 1
        place = _Place(room.members, room.name)
    session.charge(max(examined, 1))  # to find that there is none is work, too
    following = _cursor(place) if more and place is not None else None
    return events.RoomList(rooms=rooms, next=following, id=request.id)


def _after(session: Session, place: _Place | None, prefix: str, count: int) -> Iterator[ListedRoom]:
    """Yield the rooms after a place; those with members may be among those with a topic, too.

    The first `count` with a topic are read at once. Waits only where rooms with members end.
    """
    name = ""
    if place is not None and not place.members:
        name = place.name
    else:
        members = place.members if place is not None else None
        for room in session.hub.directory.after(members, place.name if place else "", prefix):
            yield ListedRoom(
                name=room.name, topic=room.topic, members=room.count, position=room.position
            )
    yield from _with_topic(session.timeline, name, prefix, count)


def _with_topic(timeline: Timeline, name: str, prefix: str, count: int) -> Iterator[ListedRoom]:
    while True:
        read = timeline.with_topic(prefix, name, count)
        yield from read
        if len(read) < count:
            return
        name, count = read[-1].name, _READ


def _size(room: ListedRoom) -> int:
    return _ROOM_BYTES + len(msgspec.json.encode((room.name, room.topic)))


def _cursor(place: _Place) -> str:
    return urlsafe_b64encode(msgspec.msgpack.encode(place)).decode()


def _place(cursor: str) -> _Place:
    """Return the place that a cursor spells. Raises Refused `bad_field`."""
    try:
        place = _decoder.decode(urlsafe_b64decode(cursor.encode("ascii")))
        if _cursor(place) == cursor:
            return place
    except (binascii.Error, UnicodeError, msgspec.DecodeError):
        pass
    raise Refused("bad_field", "after: Not the `next` of an earlier page. Begin without it.")
