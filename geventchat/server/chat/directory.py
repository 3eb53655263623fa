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
        self._members: dict[str, int] = {}
        """The number of members with which each of them is listed."""

    def update(self, room: Room) -> None:
        """Move a room to where its number of members belongs, in the list or out of it."""
        if room.private:
            return
        # The last of its members may be away: then the hub has dropped the room, or has another.
        present = self._rooms.get(room.name)
        self.place(room.name, present.count if present is not None else 0)

    def place(self, name: str, members: int) -> None:
        """List a room that is not private, which need not be open, with a number of members."""
        listed = self._members
        former = listed.get(name, 0)
        if former == members:
            return
        if former:
            self._order.remove((-former, name))
            if not members:
                del listed[name]
                return
        elif not names.listed(name):
            return
        listed[name] = members
        self._order.add((-members, name))

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def after(self, members: int | None, name: str, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Yield names and numbers of members after this one, or all for None.

        Only those whose names begin with `prefix`. Not to be used after the next change.
        """
        # The least that comes after the place, as names do not contain U+0000.
        low = (_FIRST, prefix) if members is None else (-members, f"{name}\0")
        found = True
        while found:
            found = False
            for negative, each in self._order.irange(low):
                if each.startswith(prefix):
                    yield each, -negative
                    continue
                # To the first such name among as many members, or among fewer.
                low = (negative if each < prefix else negative + 1), prefix
                found = True
                break
