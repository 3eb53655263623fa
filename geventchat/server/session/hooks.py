"""Requests about webhooks: for operators, and for moderators of private rooms about theirs."""

from typing import Final

import msgspec

from geventchat.protocol import events, names, requests
from geventchat.protocol.errors import Refused
from geventchat.server.access.policy import audit, operator_name
from geventchat.server.people.account import now_ms
from geventchat.server.people.hooks import Hook
from geventchat.server.session.session import Session, Table

_MOST: Final = 20
"""Webhooks of one room."""
_SHOWN: Final = 500
"""Maximum number of webhooks in an answer, the newest."""


def features(session: Session) -> list[str]:
    """Return the features to announce in `welcome`."""
    return ["hooks"] if session.hub.people.hooks.address is not None else []


def _hook(session: Session, request: requests.Hook) -> None:
    if request.action == "list":
        session.reply(_list(session, request))
    elif request.action == "add":
        session.reply(_add(session, request))
    else:
        session.reply(_revoke(session, request))


def _add(session: Session, request: requests.Hook) -> events.Hooks:
    if request.room is None:
        raise Refused("bad_field", "room: add needs one.")
    if not features(session):
        raise Refused("forbidden", "This server has no web door, and so no webhooks.")
    people = session.hub.people
    room = names.room(request.room)
    _authorize(session, request, room)
    if names.is_conversation(room):
        raise Refused("forbidden", "A conversation has no webhooks.", room=room)
    with session.deciding():
        session.check()
        _authorize(session, request, room)
        if len(people.hooks.of(room)) >= _MOST:
            text = f"{room} has {_MOST} webhooks, which is the limit. Revoke one first."
            raise Refused("forbidden", text, room=room)
        private = room in people.private
        hook, token = people.hooks.make(room, operator_name(session), now_ms(), private=private)
        audit(session, "hook add", target="a private room" if private else room, hook=hook.id)
        try:
            people.save(hook)
        except Refused:
            people.hooks.revoke(hook)
            raise
    shown = _shown(hook)
    shown = msgspec.structs.replace(shown, token=token, url=f"{people.hooks.address}{token}")
    return events.Hooks(hooks=[shown], id=request.id)


def _list(session: Session, request: requests.Hook) -> events.Hooks:
    hooks = session.hub.people.hooks
    if request.room is not None:
        room = names.room(request.room)
        _authorize(session, request, room)
        found = hooks.of(room)
    else:
        found = [hook for hook in hooks.of(None) if _moderates(session, hook.room)]
        if not found or session.operator or request.token is not None:
            _authenticate(session, request)
            found += [hook for hook in hooks.of(None) if not hook.private]
    return events.Hooks(hooks=[_shown(hook) for hook in found[-_SHOWN:]], id=request.id)


def _revoke(session: Session, request: requests.Hook) -> events.Hooks:
    people = session.hub.people
    _to_revoke(session, request)
    with session.deciding():
        session.check()
        hook = _to_revoke(session, request)
        people.hooks.revoke(hook)
        audit(session, "hook revoke", target=None if hook.private else hook.room, hook=hook.id)
        people.save(hook)
    return events.Hooks(hooks=[_shown(hook)], id=request.id)


def _to_revoke(session: Session, request: requests.Hook) -> Hook:
    """Return the webhook that a session may revoke as it asks. Raises Refused."""
    hook = session.hub.people.hooks.get(request.hook or "")
    if hook is None or not _moderates(session, hook.room):
        _authenticate(session, request)
        if hook is None or hook.private:
            raise Refused("bad_field", "hook: There is no such webhook.")
    return hook


def _authorize(session: Session, request: requests.Hook, room: str) -> None:
    """Raise Refused unless a session may manage the webhooks of a room."""
    if _moderates(session, room):
        return
    _authenticate(session, request)
    if room in session.hub.people.private:
        text = "Only its moderators manage the webhooks of a private room."
        raise Refused("forbidden", text, room=room)


def _authenticate(session: Session, request: requests.Hook) -> None:
    """Raise Refused unless it is an operator's."""
    if request.token is not None or not session.operator:
        session.policy.authenticate_operator(session, request.token, f"hook {request.action}")


def _moderates(session: Session, room: str) -> bool:
    """Return whether a session is of a moderator of a private room."""
    if session.account is None or room not in session.hub.people.private:
        return False
    membership = session.account.memberships.get(room)
    return membership is not None and membership.joined and membership.moderator


def _shown(hook: Hook) -> events.Hook:
    return events.Hook(id=hook.id, room=hook.room, by=hook.by, created=hook.created)


TABLE: Final[Table] = {requests.Hook: _hook}
