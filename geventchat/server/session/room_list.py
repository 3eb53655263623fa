"""The list of the rooms of a server, by the page.

Rooms with members come from the directory, the most first; then those that have only a topic from
the timeline, by name. A page ends at a place in this order, which the cursor for the next one
spells: a number of members and a name. So the list costs nothing while nobody reads it, and a room
that moves meanwhile may be missed or repeated.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Final

import msgspec

from geventchat.protocol import events, names, requests
from geventchat.protocol.events import ListedRoom
from geventchat.server.session.places import Place, place
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


def page(session: Session, request: requests.Rooms) -> events.RoomList:
    """Return a page of the list, and charge for what it took.

    Waits if it comes to rooms without members. Raises Refused `bad_field` and `storage`.
    """
    limit = request.limit or _ROOMS
    last = place(request.after) if request.after is not None else None
    directory = session.hub.directory
    rooms: list[ListedRoom] = []
    size = examined = 0
    more = False
    for room in _after(session, last, names.fold(request.prefix or ""), limit + 1):
        fresh = room.members or room.name not in directory  # else it came with its members
        size += _size(room) if fresh else 0
        full = fresh and (len(rooms) == limit or size > PAGE_BYTES)
        if full or examined == _MOST_EXAMINED:
            more = True
            break
        if fresh:
            rooms.append(room)
        examined += 1
        last = Place(room.members, room.name)
    session.charge(max(examined, 1))  # to find that there is none is work, too
    following = last.cursor if more and last is not None else None
    return events.RoomList(rooms=rooms, next=following, id=request.id)


def _after(session: Session, last: Place | None, prefix: str, count: int) -> Iterator[ListedRoom]:
    """Yield the rooms after a place; those with members may be among those with a topic, too.

    Up to `count` with members, or with a topic, are read at once. Waits only for those that are not
    open on this node.
    """
    name = ""
    if last is not None and not last.number:
        name = last.name
    else:
        yield from _present(session, last, prefix, count)
    people = session.hub.people
    for listed in _with_topic(session.timeline, name, prefix, count):
        if not people.number(listed.name):  # or a cursor could name a private one
            yield listed


def _present(session: Session, last: Place | None, prefix: str, count: int) -> Iterator[ListedRoom]:
    """Yield the rooms with members after a place, `count` of one moment."""
    members, after = (last.number, last.name) if last is not None else (None, "")
    while found := list(islice(session.hub.directory.after(members, after, prefix), count)):
        for after, members in found:
            listed = _with_members(session, after, members)
            if listed is not None:
                yield listed


def _with_members(session: Session, name: str, members: int) -> ListedRoom | None:
    """Return a room with members on any node; None: by now it is private. May wait."""
    room, timeline = session.hub.rooms.get(name), session.timeline
    if room is not None:
        return ListedRoom(name=name, topic=room.topic, members=members, position=room.position)
    with timeline.opened(name):  # by then it is known of a new private room that it is one
        if session.hub.people.number(name):
            return None
        topic, position = timeline.topic(name), timeline.position(name)
    return ListedRoom(name=name, topic=topic, members=members, position=position)


def _with_topic(timeline: Timeline, name: str, prefix: str, count: int) -> Iterator[ListedRoom]:
    while True:
        read = timeline.with_topic(prefix, name, count)
        yield from read
        if len(read) < count:
            return
        name, count = read[-1].name, _READ


def _size(room: ListedRoom) -> int:
    return _ROOM_BYTES + len(msgspec.json.encode((room.name, room.topic)))
