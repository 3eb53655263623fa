"""Invitations into private rooms, which a server repeats after each hello."""

from geventchat.client.terminal import formatting
from geventchat.client.terminal.formatting import Line
from geventchat.protocol.events import Invited


class Invitations:
    """The rooms into which the user is invited."""

    def __init__(self) -> None:
        self.rooms: dict[str, None] = {}  # an ordered set

    def hear(self, invited: Invited, *, own: bool, ignored: bool) -> list[Line]:
        """Return the lines to print; `own` is one of the user, by somebody perhaps `ignored`."""
        room, by = invited.room, invited.by
        if not own:
            return [formatting.notice(f"{by} invited {invited.nick} to {room}")]
        if ignored or room in self.rooms:
            return []
        self.rooms[room] = None
        text = f"{by} invites you to {room}: /join {room} accepts, /leave {room} declines"
        return [formatting.notice(text)]

    def answered(self, room: str) -> bool:
        """Remove an invitation; return whether there was one."""
        return self.rooms.pop(room, "") is None
