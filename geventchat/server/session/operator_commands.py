"""Actions of operators: one function each, and a table of them.

An action that has started is completed, even if its session ends meanwhile. The session answers
Refused with `error`. Each action is logged.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Final

from geventchat.protocol import durations, events, names
from geventchat.protocol.errors import KICKED, Refused
from geventchat.protocol.requests import Admin
from geventchat.server.access.policy import audit, operator_name
from geventchat.server.access.rules import Rule, Rules, moment
from geventchat.server.people.private import PrivateRoom
from geventchat.server.session.enforcement import apply_rules
from geventchat.server.session.session import Session
from geventchat.server.session.shield import shielded
from geventchat.server.session.targets import (
    Target,
    check_reach,
    sessions_to_kick,
    target_of,
    targets,
)
from geventchat.server.slices import in_slices

_SHOWN: Final = 500
"""Maximum number of rules in a response."""
_NUMBERED: Final = re.compile(r"private room ([0-9]{1,9})", re.IGNORECASE)
"""A private room as logs and figures show it."""
_PLACE: Final = f"a duration goes into seconds (--seconds {durations.FORMS})"

Done = tuple[list[Rule], int]
"""The rules that were created, removed or found, and the number of connections closed."""


def run(session: Session, request: Admin) -> events.Admin:
    """Carry out an action and save it. Waits. Raises Refused."""
    if request.token is not None or not session.operator:
        session.policy.authenticate_operator(session, request.token, request.action)
    _check_fields(request)
    if request.action in _AT_ONCE:
        return _act(session, request)
    return shielded(partial(_act, session, request))


def _check_fields(request: Admin) -> None:
    """Raise Refused if an action has a field that it would ignore, or a duration out of place."""
    action = request.action
    if request.target is not None and action in _OF_ALL:
        raise Refused("bad_field", f"target: {action} takes no target; {_PLACE}.")
    if request.seconds is not None and action not in _UNDONE.values():
        raise Refused("bad_field", f"seconds: {action} has no duration.")
    if (
        action in _UNDONE.values()
        and request.seconds is None
        and durations.begins_like_one(request.reason or "")
    ):
        raise Refused("bad_field", f"reason: it begins like a duration; {_PLACE}.")


def _act(session: Session, request: Admin) -> events.Admin:
    policy = session.policy
    target = _private(session, request).shown if request.action == "end" else request.target
    rules, ended = _TABLE[request.action](session, request)
    changed = rules if request.action not in _WITHOUT_RULES else []
    until = changed[0].until if changed and request.action not in _UNDONE else None
    audit(
        session,
        request.action,
        target=", ".join(f"{rule.target_type} {rule.target}".rstrip() for rule in changed)
        or target,
        until=moment(until) if until is not None else None,
        reason=request.reason,
        connections_closed=ended or None,
    )
    if request.action not in _WITHOUT_RULES:
        policy.save_rules()
    return events.Admin(
        action=request.action,
        rules=[rule.shown() for rule in rules[-_SHOWN:]],
        connections_closed=ended,
        total=len(policy.rules.in_force(policy.clock())),
        id=request.id,
    )


def _kick(session: Session, request: Admin) -> Done:
    text = KICKED.text if request.reason is None else f"{KICKED.text[:-1]}: {request.reason}"
    ended = 0
    for other in sessions_to_kick(session, request):
        if other is not session:
            other.end(replace(KICKED, text=text))
            ended += 1
    if not ended:
        raise Refused("no_such_nick", "Only you match; nobody was kicked.")
    return [], ended


def _ban_or_mute(session: Session, request: Admin) -> Done:
    """Handle `ban` and `mute`."""
    rules = _new_rules(session, request, targets(session, request))
    now, account = session.policy.clock(), session.account
    if account is not None and Rules(rules).find(request.action, "account", account.id, now):
        raise Refused("forbidden", f"That would also {request.action} you.")
    own = session.client, [session.nick], session.address
    if (hit := Rules(rules).of_client(request.action, *own, session.policy.clock())) is not None:
        text = f"That would also {request.action} you."
        if hit.target_type == "address":
            text = f"{text[:-1]}: {session.address} is your address too. Name a nick or a client."
        raise Refused("forbidden", text)
    check_reach(session, request)
    return _put_in_force(session, rules), apply_rules(session.hub, session.policy)


def _lock_or_freeze(session: Session, request: Admin) -> Done:
    """Handle `lock` and `freeze`."""
    target = target_of(request)
    room = names.room(target)
    if room not in session.hub.rooms and durations.begins_like_one(target):
        raise Refused("bad_field", f"target: there is nobody in a room {room}; {_PLACE}.")
    return _put_in_force(session, _new_rules(session, request, [("room", room, room)])), 0


def _close(session: Session, request: Admin) -> Done:
    return _put_in_force(session, _new_rules(session, request, [("server", "", "")])), 0


def _end(session: Session, request: Admin) -> Done:
    hub, private = session.hub, _private(session, request)
    hooks = hub.people.hooks.of(private.name)
    for hook in hooks:
        hub.people.hooks.revoke(hook)
    hub.people.save(*hub.account_rooms.end(private), *hooks)
    return [], 0


def _private(session: Session, request: Admin) -> PrivateRoom:
    """Return the private room of a request: by its name, or as logs and figures show it."""
    target, rooms = target_of(request), session.hub.people.private
    if numbered := _NUMBERED.fullmatch(target):
        number = int(numbered[1])
        private = next((each for each in in_slices(rooms.values()) if each.number == number), None)
    else:
        private = rooms.get(names.room(target))
    if private is None or private.between:
        text = f"target: there is no private room {target}; conversations cannot be ended."
        raise Refused("bad_field", text)
    return private


def _undo(session: Session, request: Admin) -> Done:
    action = _UNDONE[request.action]
    target = "" if action == "close" else target_of(request)
    lifted = session.policy.rules.lift(action, target, request.target_type)
    account = session.hub.owners.find_account(target) if target else None
    if account is not None and request.target_type in (None, "nick"):  # under any of its nicks
        lifted += session.policy.rules.lift_account(action, account.id)
    if not lifted:
        if not target:
            raise Refused("bad_field", "action: the server is not closed.")
        raise Refused("bad_field", f"target: no {action} matches {target}.")
    return lifted, apply_rules(session.hub, session.policy)


def _list(session: Session, request: Admin) -> Done:
    return session.policy.rules.in_force(session.policy.clock()), 0


def _new_rules(session: Session, request: Admin, targets: Iterable[Target]) -> list[Rule]:
    now = session.policy.clock()
    return [
        Rule(
            action=request.action,
            target_type=target_type,
            target=target,
            operator=operator_name(session),
            time=int(now * 1000),
            until=int((now + request.seconds) * 1000) if request.seconds else None,
            reason=request.reason or "",
            value=value,
        )
        for target_type, value, target in targets
    ]


def _put_in_force(session: Session, rules: list[Rule]) -> list[Rule]:
    session.policy.rules.make(rules, session.policy.clock())
    return rules


_OF_ALL: Final = "close", "open", "list"
"""Actions without a target."""
_AT_ONCE: Final = "kick", "list"
"""Actions that never wait."""
_WITHOUT_RULES: Final = *_AT_ONCE, "end"
"""Actions that change no rules."""
_UNDONE: Final = {
    "unban": "ban",
    "unmute": "mute",
    "unlock": "lock",
    "unfreeze": "freeze",
    "open": "close",
}
_TABLE: Final[dict[str, Callable[[Session, Admin], Done]]] = {
    "kick": _kick,
    "ban": _ban_or_mute,
    "mute": _ban_or_mute,
    "lock": _lock_or_freeze,
    "freeze": _lock_or_freeze,
    "end": _end,
    "close": _close,
    "list": _list,
    **dict.fromkeys(_UNDONE, _undo),
}
