"""Requests about how far an account has read."""

from typing import Final

from geventchat.protocol import events, requests
from geventchat.protocol.errors import Refused
from geventchat.server.chat.room import Member
from geventchat.server.people.account import Membership
from geventchat.server.session.session import Session, Table


def _read(session: Session, request: requests.Read) -> None:
    account, people = session.account, session.hub.people
    if account is None:
        raise Refused("forbidden", "Only accounts have read marks. Register, or sign in first.")
    member = session.member(request.room)
    room = member.room
    if request.position > room.newest:
        text = f"position: the newest post of {room.name} is {room.newest}."
        raise Refused("bad_field", text, room=room.name)
    membership = account.memberships.get(room.name)
    if membership is None:  # left on another connection, a moment ago
        raise Refused("not_joined", f"You are not in {room.name}.", room=room.name)
    begun = people.marks.begin(membership, room.position)
    moved = membership.read_to(request.position)
    if begun or moved:
        people.save(membership)
    people.records.settle(membership)  # other connections may have moved it just now
    if not member.active:
        raise Refused("not_joined", f"You left {room.name}.", room=room.name)
    if moved:
        shown = _mark(session, membership, member)
        for other in session.hub.devices.members(account, room.name):
            if other.participant is not session:
                other.participant.answer(shown)
    session.reply(_mark(session, membership, member, request.id))


def _mark(
    session: Session, membership: Membership, member: Member, request_id: str | None = None
) -> events.Read:
    """Return the present mark of a membership; what is being delivered counts as well."""
    room = member.room
    oldest = session.timeline.oldest(room.name)
    mark = membership.mark(oldest, room.newest)
    return events.Read(
        room=room.name,
        position=mark.read,
        unread=mark.unread,
        mentions=mark.mentions,
        id=request_id,
    )


TABLE: Final[Table] = {requests.Read: _read}
