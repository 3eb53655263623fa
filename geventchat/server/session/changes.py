"""Requests that edit and redact posts."""

from typing import Final

from geventchat.protocol import requests
from geventchat.protocol.errors import Refused
from geventchat.server.chat.room import Member
from geventchat.server.session.session import Session, Table

_REDACTION_REACH: Final = 256
"""A redaction costs as much as an event for so many members more: the disk is cleaned after it."""


def _edit(session: Session, request: requests.Edit) -> None:
    member = _member(session, request)
    session.submit(member, request.text, None, request.id, kind="edit", position=request.position)
    session.unanswered = True


def _redact(session: Session, request: requests.Redact) -> None:
    member = _member(session, request)
    session.charge(_REDACTION_REACH + member.room.rich_members)
    session.submit(
        member,
        "",
        None,
        request.id,
        kind="redact",
        position=request.position,
        may_redact_any=_may_redact_any(session, member),
    )
    session.unanswered = True


def _member(session: Session, request: requests.Edit | requests.Redact) -> Member:
    """Return the membership of the room of a request. Raises Refused."""
    member = session.member(request.room)
    if request.position <= session.hidden(member.room.name):  # said before it joined
        text = "There is no such post, or not any more."
        raise Refused("no_such_post", text, room=member.room.name)
    return member


def _may_redact_any(session: Session, member: Member) -> bool:
    """Return whether a member may redact the posts of others."""
    if session.operator:
        return True
    if session.account is None:
        return False
    membership = session.account.memberships.get(member.room.name)
    return membership is not None and membership.moderator


TABLE: Final[Table] = {requests.Edit: _edit, requests.Redact: _redact}
