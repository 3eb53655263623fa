"""The directory: the rooms that have members, in the order in which they are listed.

That is by number of members, the most first, then by name. Moving a room costs O(log n) for n
rooms. Finding those after a place costs as much for each of them, and once more for each different
number of members if only some names are wanted: a million memberships have at most 1,413.

Nothing here waits.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from sortedcontainers import SortedList

from geventchat.protocol import names
from geventchat.server.chat.room import Room

_FIRST: Final = float("-inf")


class Directory:
    """The rooms with announced members, without the unlisted ones."""

    def __init__(self, rooms: Mapping[str, Room]) -> None:
        """`rooms` are the hub's."""
        self._rooms = rooms
        self._order = SortedList()
        """The negative number of members, and the name, of each room that is listed."""

    def update(self, room: Room) -> None:
        """Move a room to where its number of members belongs, in the list or out of it."""
        if room.listed:
            self._order.remove((-room.listed, room.name))
        # The last of its members may be away: then the hub has dropped the room, or has another.
        present = self._rooms.get(room.name) is room and names.listed(room.name)
        present = present and not room.private
        room.listed = room.count if present else 0
        if room.listed:
            self._order.add((-room.listed, room.name))

    def __contains__(self, name: str) -> bool:
        room = self._rooms.get(name)
        return room is not None and room.listed > 0

    def after(self, members: int | None, name: str, prefix: str = "") -> Iterator[Room]:
        """Yield the rooms after the one with this name and number of members, or all for None.

        Only those whose names begin with `prefix`. Not to be used after the next change.
        """
        # The least that comes after the place, as names do not contain U+0000.
        low = (_FIRST, prefix) if members is None else (-members, f"{name}\0")
        found = True
        while found:
            found = False
            for negative, each in self._order.irange(low):
                if each.startswith(prefix):
                    yield self._rooms[each]
                    continue
                # To the first such name among as many members, or among fewer.
                low = (negative if each < prefix else negative + 1), prefix
                found = True
                break
