"""Requests about how far an account has read."""

from typing import Final

from geventchat.protocol import requests
from geventchat.protocol.errors import Refused
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
    rooms = session.hub.account_rooms
    if moved:
        rooms.tell_read(membership, session)
    session.reply(rooms.read(membership, member, request.id))


TABLE: Final[Table] = {requests.Read: _read}
