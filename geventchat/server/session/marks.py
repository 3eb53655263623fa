"""Requests about how far an account has read."""

from functools import partial
from typing import Final

from geventchat.protocol import requests
from geventchat.protocol.errors import Refused
from geventchat.server.people.account import Membership
from geventchat.server.session.session import Session, Table
from geventchat.server.session.shield import shielded


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
        shielded(partial(_save, session, membership, moved=moved))
    people.records.settle(membership)  # other connections may have moved it just now
    if not member.active:
        raise Refused("not_joined", f"You left {room.name}.", room=room.name)
    session.reply(session.hub.account_rooms.read(membership, member, request.id))


def _save(session: Session, membership: Membership, *, moved: bool) -> None:
    """Save a mark; if it moved, all other connections hear that, also if this one has ended."""
    people, records = session.hub.people, session.hub.people.records
    people.save(membership)
    records.settle(membership)
    if moved:
        session.hub.account_rooms.tell_read(membership, session)


TABLE: Final[Table] = {requests.Read: _read}
