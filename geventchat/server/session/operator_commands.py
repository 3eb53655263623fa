"""Actions of operators: one function each, and a table of them.

An action that has started is completed, even if its session ends meanwhile. The session answers
Refused with `error`. Each action is logged.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Final

from geventchat.protocol import durations, events, names
from geventchat.protocol.errors import KICKED, Refused
from geventchat.protocol.requests import Admin
from geventchat.server.access.policy import audit, operator_name
from geventchat.server.access.rules import (
    Network,
    Rule,
    Rules,
    check_width,
    moment,
    network,
    within,
)
from geventchat.server.chat.away import Away
from geventchat.server.participant import Participant
from geventchat.server.people.private import PrivateRoom
from geventchat.server.session.session import Session
from geventchat.server.session.shield import shielded
from geventchat.server.slices import in_slices

_SHOWN: Final = 500
"""Maximum number of rules in a response."""
_STRIDE: Final = 100
"""Sessions per slice when rules are applied: some 0.5 ms."""
_NUMBERED: Final = re.compile(r"private room ([0-9]{1,9})", re.IGNORECASE)
"""A private room as logs and figures show it."""
_PLACE: Final = f"a duration goes into seconds (--seconds {durations.FORMS})"

Done = tuple[list[Rule], int]
"""The rules that were created, removed or found, and the number of connections closed."""
Target = tuple[str, str, str]
"""Type, lookup value and name of a target."""


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
    for other in _sessions_to_kick(session, request):
        if other is not session:
            other.end(replace(KICKED, text=text))
            ended += 1
    if not ended:
        raise Refused("no_such_nick", "Only you match; nobody was kicked.")
    return [], ended


def _ban_or_mute(session: Session, request: Admin) -> Done:
    """Handle `ban` and `mute`."""
    rules = _new_rules(session, request, _targets(session, request))
    now, account = session.policy.clock(), session.account
    if account is not None and Rules(rules).find(request.action, "account", account.id, now):
        raise Refused("forbidden", f"That would also {request.action} you.")
    own = session.client, [session.nick], session.address
    if (hit := Rules(rules).of_client(request.action, *own, session.policy.clock())) is not None:
        text = f"That would also {request.action} you."
        if hit.target_type == "address":
            text = f"{text[:-1]}: {session.address} is your address too. Name a nick or a client."
        raise Refused("forbidden", text)
    _check_reach(session, request)
    return _put_in_force(session, rules), _apply_to_all(session)


def _check_reach(session: Session, request: Admin) -> None:
    """Raise Refused if a ban or mute hits nobody, or more than the one who was named. May wait."""
    target, action = _target(request), request.action
    named, meant = session.hub.owners.find(target), _network(session, request)
    if meant is not None:
        check_width(meant)
        if named is not None:  # an address was not named: others may share it
            others = sum(
                other is not named and within(meant, other.address)
                for other in in_slices(session.hub.sessions, _STRIDE)
            )
            if others:
                many = f"{others:,} other client{'' if others == 1 else 's'}"
                text = f"{many} would go too. To {action} all of them, name {meant} itself."
                raise Refused("forbidden", text)
    elif (
        action == "mute"
        and named is None
        and request.target_type is None
        and session.hub.owners.find_account(target) is None
    ):
        text = f"{_nobody(target).text} To mute whoever takes that nick, mute it by nick."
        raise Refused("no_such_nick", text)


def _lock_or_freeze(session: Session, request: Admin) -> Done:
    """Handle `lock` and `freeze`."""
    target = _target(request)
    room = names.room(target)
    if room not in session.hub.rooms and durations.begins_like_one(target):
        raise Refused("bad_field", f"target: there is nobody in a room {room}; {_PLACE}.")
    return _put_in_force(session, _new_rules(session, request, [("room", room, room)])), 0


def _close(session: Session, request: Admin) -> Done:
    return _put_in_force(session, _new_rules(session, request, [("server", "", "")])), 0


def _end(session: Session, request: Admin) -> Done:
    hub, private = session.hub, _private(session, request)
    with session.deciding():
        hooks = hub.people.hooks.of(private.name)
        for hook in hooks:
            hub.people.hooks.revoke(hook)
        hub.people.save(*hub.account_rooms.end(private), *hooks)
    return [], 0


def _private(session: Session, request: Admin) -> PrivateRoom:
    """Return the private room of a request: by its name, or as logs and figures show it."""
    target, rooms = _target(request), session.hub.people.private
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
    target = "" if action == "close" else _target(request)
    lifted = session.policy.rules.lift(action, target, request.target_type)
    account = session.hub.owners.find_account(target) if target else None
    if account is not None and request.target_type in (None, "nick"):  # under any of its nicks
        lifted += session.policy.rules.lift_account(action, account.id)
    if not lifted:
        if not target:
            raise Refused("bad_field", "action: the server is not closed.")
        raise Refused("bad_field", f"target: no {action} matches {target}.")
    return lifted, _apply_to_all(session)


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


def _apply_to_all(session: Session) -> int:
    """Apply the rules to all sessions; return the number of connections closed. Waits."""
    policy = session.policy
    ended = 0
    for other in in_slices(session.hub.sessions, _STRIDE):
        policy.refresh_mute(other)
        banned = policy.banned(other.client, [other.nick], other.address, other.account)
        if banned is not None and not other.operator:
            other.end(banned)
            ended += 1
    return ended


def _targets(session: Session, request: Admin) -> Iterator[Target]:
    """Yield the targets of a ban or a mute: an address, or a nick and its client."""
    target, target_type = _target(request), request.target_type
    if target_type == "room":
        raise Refused("bad_field", f"target_type: {request.action} does not support room.")
    if (meant := _network(session, request)) is not None:
        yield "address", str(meant), str(meant)
        return
    found = session.hub.owners.find(target)
    account = session.hub.owners.find_account(target)
    if account is not None:
        yield "account", account.id, account.nick
        return
    client = found.client if found is not None else b""
    if target_type != "nick" and found is not None:
        if client:
            yield "client", client.hex(), found.nick
        elif request.action == "mute" and target_type is None:
            yield "guest", names.fold(found.nick), found.nick
        else:
            text = f"target: {found.nick} is a plain client; use its address."
            raise Refused("bad_field", text)
    elif target_type == "client":
        raise _nobody(target)
    if target_type != "client" and not (
        target_type is None and names.fold(target).startswith(names.GUEST)
    ):
        nick = names.nick(target if found is None else found.nick)
        yield "nick", names.skeleton(nick), nick
    elif found is None:
        raise _nobody(target)


def _sessions_to_kick(session: Session, request: Admin) -> list[Participant]:
    """Return the sessions to kick."""
    hub, target = session.hub, _target(request)
    if request.target_type == "room":
        return [other for other in hub.participants_in(names.room(target)) if not other.operator]
    if (meant := _network(session, request)) is not None:
        return [
            other for other in hub.sessions if not other.operator and within(meant, other.address)
        ]
    if (account := hub.owners.find_account(target)) is not None and hub.devices.connected(account):
        return list(hub.devices.connected(account))
    found = hub.owners.find(target)
    if found is None or isinstance(found, Away):
        raise _nobody(target)
    return [found]


def _network(session: Session, request: Admin) -> Network | None:
    """Return the network of a request: the one it names, or that of a nick."""
    if request.target_type not in (None, "address"):
        return None
    target = _target(request)
    meant = network(target)
    if meant is None and names.like_address(target):
        raise Refused("bad_field", f"target: {target} is not a valid address.")
    if meant is None and request.target_type == "address":
        found = session.hub.owners.find(target)
        if found is None or isinstance(found, Away):
            raise _nobody(target)
        meant = network(found.address)
    return meant


def _target(request: Admin) -> str:
    if request.target is None:
        raise Refused("bad_field", f"target: {request.action} needs a target.")
    return request.target


def _nobody(target: str) -> Refused:
    return Refused("no_such_nick", f"{target} is not online.")


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
