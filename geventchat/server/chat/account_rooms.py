"""The rooms of accounts: what one of their connections joins or leaves, all of them do."""

from typing import Final

from geventchat.protocol import events
from geventchat.server.chat.away import Away
from geventchat.server.chat.memberships import Memberships
from geventchat.server.chat.room import Member
from geventchat.server.participant import Participant
from geventchat.server.people.account import Account, Membership
from geventchat.server.people.private import PrivateRoom

ELSEWHERE: Final = "elsewhere"
"""Why a room is left: the account left it on another connection."""
REMOVED: Final = "removed"
"""Why a room is left: a moderator removed the account, or withdrew the invitation."""
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
            member.participant.unfollow(room)  # it may be on its way in: it hears `left` once
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
        if reason != ELSEWHERE and not self._hub.timeline.nodes.alone:
            membership.reason = reason  # for the connections on other nodes
        moderator = self._hub.people.leave(membership)
        self.tell_left(membership, reason, exclude)
        if moderator is None:
            return [membership]
        self.tell_moderators(self._hub.people.private[membership.room])
        return [membership, moderator]

    def tell_left(
        self, membership: Membership, reason: str, exclude: Participant | None = None
    ) -> None:
        """Have all connections of an account leave a room, or its invitation, that has ended."""
        account, name = membership.account, membership.room
        if membership.joined:
            self.leave_everywhere(account, name, reason, exclude)
            return
        for participant in self._hub.devices.connected(account):
            if participant is not exclude:
                participant.answer(events.Left(room=name, reason=reason))

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

    def tell_invited(self, membership: Membership) -> None:
        """Tell all connections of an account that it is invited, if it still is."""
        for participant in self._hub.devices.connected(membership.account):
            if not membership.ended and not membership.joined:
                participant.answer(invited(membership))

    def tell_muted(self, membership: Membership, event: events.Muted) -> None:
        """Tell the members of a private room whether one of them is muted."""
        if (room := self._hub.rooms.get(membership.room)) is None:
            return
        self._hub.tell(room, event)
        for each in self._hub.devices.members(membership.account, room.name):
            if each.participant not in room.live:  # turns do not reach it
                each.participant.answer(event)

    def tell_read(self, membership: Membership, exclude: Participant | None = None) -> None:
        """Tell all connections of an account but one how far it has read a room."""
        for member in self._hub.devices.members(membership.account, membership.room):
            if member.participant is not exclude:
                member.participant.answer(self.read(membership, member))

    def read(
        self, membership: Membership, member: Member, request_id: str | None = None
    ) -> events.Read:
        """Return the present mark of a membership; what is being delivered counts as well."""
        room = member.room
        mark = membership.mark(self._hub.timeline.oldest(room.name), room.newest)
        return events.Read(
            room=room.name,
            position=mark.read,
            unread=mark.unread,
            mentions=mark.mentions,
            id=request_id,
        )

    def close(self, membership: Membership, exclude: Participant | None = None) -> None:
        """Close a conversation on all connections of an account until something new is said."""
        membership.joined = False
        membership.since = self._hub.people.private[membership.room].newest
        self.leave_everywhere(membership.account, membership.room, ELSEWHERE, exclude)

    def said(self, conversation: PrivateRoom, post: events.Post) -> None:
        """Open a conversation for both accounts, as something was said in it."""
        if post.position <= conversation.newest:  # it was known when the server started
            return
        self._hub.people.conversations.said(conversation, post.position, post.time)
        for membership in conversation.members.values():
            if not membership.joined:
                membership.joined = True
                self._hub.people.records.note(membership)
            self.follow(membership.account, conversation.name)


def invited(membership: Membership, request_id: str | None = None) -> events.Invited:
    """Return what tells of an invitation."""
    account = membership.account
    return events.Invited(
        room=membership.room,
        nick=account.nick,
        account=account.id,
        by=membership.invited_by,
        id=request_id,
    )


def muted(membership: Membership) -> events.Muted:
    """Return what tells whether somebody is muted in a private room, by whom and until when."""
    return events.Muted(
        room=membership.room,
        nick=membership.account.nick,
        by=membership.muted_by,
        on=membership.muted is not None,
        until=membership.muted or None,
    )
