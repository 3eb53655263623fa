"""The rooms of accounts: what one of their connections joins or leaves, all of them do."""

from typing import Final

from geventchat.protocol import events
from geventchat.server.chat.away import Away
from geventchat.server.chat.memberships import Memberships
from geventchat.server.participant import Participant
from geventchat.server.people.account import Account, Membership
from geventchat.server.people.private import PrivateRoom

ELSEWHERE: Final = "elsewhere"
"""Why a room is left: the account left it on another connection."""
ENDED: Final = "ended"
"""Why a room is left: an operator ended it."""


class AccountRooms:
    """Joins and leaves of accounts on all of their connections. Nothing here waits."""

    def __init__(self, hub: Memberships) -> None:
        """`hub`: whose members join and leave."""
        self._hub = hub

    def follow(self, account: Account, room: str) -> None:
        """Have all connections of an account join a room that it is in."""
        for participant in self._hub.devices.connected(account):
            if room not in self._hub.sessions[participant]:
                participant.follow(room)

    def leave_everywhere(
        self, account: Account, room: str, reason: str, exclude: Participant | None = None
    ) -> None:
        """End the memberships of all connections of an account; all but one hear `left`.

        Nothing of the room follows, and no lost connection holds the nick there any more.
        """
        for device in self._hub.devices.of(account):
            absent = device.rooms if isinstance(device, Away) else self._hub.absent.get(device, [])
            for each in [each for each in absent if each.name == room]:
                absent.remove(each)
                self._hub.stays_away(each, device)
        for member in self._hub.devices.members(account, room):
            self._hub.leave(member)
            if member.participant is not exclude:
                member.participant.answer(events.Left(room=room, reason=reason))
        for participant in self._hub.devices.connected(account):
            if participant.unfollow(room) and participant is not exclude:
                participant.answer(events.Left(room=room, reason=reason))
        self._hub.delivery.work()

    def depart(
        self, membership: Membership, reason: str, exclude: Participant | None = None
    ) -> list[Membership]:
        """Take an account, or its invitation, out of a room; return what has to be saved.

        All of its connections but one hear `left`. If the last moderator of a private room leaves,
        the member who joined first becomes one, and all members hear that.
        """
        account, name, joined = membership.account, membership.room, membership.joined
        moderator = self._hub.people.leave(membership)
        if joined:
            self.leave_everywhere(account, name, reason, exclude)
        else:
            for participant in self._hub.devices.connected(account):
                if participant is not exclude:
                    participant.answer(events.Left(room=name, reason=reason))
        if moderator is None:
            return [membership]
        self.tell_moderators(self._hub.people.private[name])
        return [membership, moderator]

    def end(self, private: PrivateRoom) -> list[Membership]:
        """End a private room for all who are in it, or invited; return what has to be saved.

        Nobody can join it any more, and its name stays taken.
        """
        memberships = list(private.members.values())
        for membership in memberships:
            membership.moderator = False  # so that none is made a moderator in between
        for membership in memberships:
            self.depart(membership, ENDED)
        return memberships

    def tell_moderators(self, private: PrivateRoom) -> None:
        """Tell the members of a private room who moderates it."""
        if (room := self._hub.rooms.get(private.name)) is not None:
            self._hub.tell(room, events.Moderators(room=room.name, moderators=private.moderators))

    def close(self, membership: Membership, exclude: Participant | None = None) -> None:
        """Close a conversation on all connections of an account until something new is said."""
        membership.joined = False
        membership.since = self._hub.people.private[membership.room].newest
        self.leave_everywhere(membership.account, membership.room, ELSEWHERE, exclude)

    def said(self, conversation: PrivateRoom, post: events.Post) -> None:
        """Open a conversation for both accounts, as something was said in it."""
        self._hub.people.conversations.said(conversation, post.position, post.time)
        for membership in conversation.members.values():
            if not membership.joined:
                membership.joined = True
                self._hub.people.records.note(membership)
            self.follow(membership.account, conversation.name)
