"""Actions of operators: one function each, and a table of them.

An action that has started is completed, even if its session ends meanwhile. The session answers
Refused with `error`. Each action is logged.
"""

import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, NamedTuple

import msgspec

from geventchat.protocol import durations, events, names
from geventchat.protocol.errors import Refused
from geventchat.protocol.requests import Admin
from geventchat.server.access.policy import audit, operator_name
from geventchat.server.access.rules import Rule, Rules, moment
from geventchat.server.people.private import PrivateRoom
from geventchat.server.people.records import Kept
from geventchat.server.session.enforcement import ENDED, apply_rules, asked_of
from geventchat.server.session.reach import Reach
from geventchat.server.session.session import Session
from geventchat.server.session.shield import shielded
from geventchat.server.session.targets import Named, Target, target_of
from geventchat.server.slices import in_slices

_SHOWN: Final = 500
"""Maximum number of rules in a response."""
_NUMBERED: Final = re.compile(r"private room ([0-9]{1,9})", re.IGNORECASE)
"""A private room as logs and figures show it."""
_PLACE: Final = f"a duration goes into seconds (--seconds {durations.FORMS})"


class Done(NamedTuple):
    """What an action did."""

    rules: list[Rule]
    """Those that were created, removed or found."""
    closed: int = 0
    """Connections closed, without those that a new rule closes on other nodes."""
    reach: Reach | None = None
    """Which nodes were asked, if any."""
    saved: Callable[[], None] = lambda: None
    """Waits until the rules are stored. Raises Refused `storage`."""
    note: str | None = None
    """What else the operator should know."""


def run(session: Session, request: Admin) -> events.Admin:
    """Carry out an action and save it. Waits. Raises Refused."""
    if request.token is not None or not session.operator:
        session.policy.authenticate_operator(session, request.token, request.action)
    _check_fields(request)
    if request.action in _AT_ONCE and session.timeline.nodes.alone:
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
    done = _TABLE[request.action](session, request)
    rules, closed = done.rules, done.closed
    changed = rules if request.action not in _WITHOUT_RULES else []
    until = changed[0].until if changed and request.action not in _UNDONE else None
    audit(
        session,
        request.action,
        target=", ".join(f"{rule.target_type} {rule.target}".rstrip() for rule in changed)
        or target,
        until=moment(until) if until is not None else None,
        reason=request.reason,
        connections_closed=closed or None,
    )
    done.saved()
    reach = done.reach or Reach(session.hub)
    if request.action in ("ban", "mute"):
        answers = reach.ask(ENDED, asked_of(rules))
        closed += sum(msgspec.msgpack.decode(each, type=int) for each in answers)
    return events.Admin(
        action=request.action,
        rules=[rule.shown() for rule in rules[-_SHOWN:]],
        connections_closed=closed,
        total=len(policy.rules.in_force(policy.clock())),
        note=done.note or reach.note(_LATER if changed else _NOT_KICKED),
        id=request.id,
    )


def _kick(session: Session, request: Admin) -> Done:
    named = Named(session, request)
    kicked = named.kicked()
    closed, spared = named.reach.kick(kicked, session)
    if not closed:
        raise named.nobody_kicked(kicked, spared=spared)
    return Done([], closed, named.reach)


def _ban_or_mute(session: Session, request: Admin) -> Done:
    """Handle `ban` and `mute`."""
    named = Named(session, request)
    rules = _new_rules(session, request, named.targets())
    now, account = session.policy.clock(), session.account
    if account is not None and Rules(rules).find(request.action, "account", account.id, now):
        raise Refused("forbidden", f"That would also {request.action} you.")
    own = session.client, [session.nick], session.address
    if (hit := Rules(rules).of_client(request.action, *own, session.policy.clock())) is not None:
        text = f"That would also {request.action} you."
        if hit.target_type == "address":
            text = f"{text[:-1]}: {session.address} is your address too. Name a nick or a client."
        raise Refused("forbidden", text)
    named.check_reach()
    done = _put_in_force(session, rules)
    return done._replace(closed=apply_rules(session.hub, session.policy), reach=named.reach)


def _lock_or_freeze(session: Session, request: Admin) -> Done:
    """Handle `lock` and `freeze`."""
    target = target_of(request)
    room = names.room(target)
    if durations.begins_like_one(target) and not session.hub.is_used(room):
        raise Refused("bad_field", f"target: there is nobody in a room {room}; {_PLACE}.")
    return _put_in_force(session, _new_rules(session, request, [("room", room, room)]))


def _close(session: Session, request: Admin) -> Done:
    return _put_in_force(session, _new_rules(session, request, [("server", "", "")]))


def _end(session: Session, request: Admin) -> Done:
    hub = session.hub
    with session.deciding():
        private = _private(session, request)
        hooks = hub.people.hooks.of(private.name)
        for hook in hooks:
            hub.people.hooks.revoke(hook)
        changed: list[Kept] = [*hub.account_rooms.end(private), *hooks]
        try:
            hub.people.save(*changed)
        except Refused:  # all have left it, which is logged first
            return Done([], saved=partial(hub.people.save, *changed))
    return Done([])


def _private(session: Session, request: Admin) -> PrivateRoom:
    """Return the private room of a request: by its name, or as logs and figures show it."""
    target, rooms = target_of(request), session.hub.people.private
    meant = f"private room {target}"
    if numbered := _NUMBERED.fullmatch(target):
        number, meant = int(numbered[1]), target.lower()
        private = next((each for each in in_slices(rooms.values()) if each.number == number), None)
    else:
        private = rooms.get(names.room(target))
    if private is None or private.between:
        text = f"target: there is no {meant}; conversations cannot be ended."
        raise Refused("bad_field", text)
    return private


def _undo(session: Session, request: Admin) -> Done:
    action = _UNDONE[request.action]
    target = "" if action == "close" else target_of(request)

    def lift() -> list[Rule]:
        rules, owners = session.policy.rules, session.hub.owners
        lifted = rules.lift(action, target, request.target_type)
        account = owners.find_account(target) if target else None
        if account is not None and request.target_type in (None, "nick"):  # under any of its nicks
            lifted += rules.lift_account(action, account.id)
        if not lifted and not target:
            raise Refused("bad_field", "action: the server is not closed.")
        if not lifted:
            raise Refused("bad_field", f"target: no {action} matches {target}.")
        return lifted

    done = _decided(session, lift)
    return done._replace(closed=apply_rules(session.hub, session.policy))


def _recycle(session: Session, request: Admin) -> Done:
    if session.hub.recycle is None:
        raise Refused("bad_field", "action: this server has no workers (--workers) to replace.")
    session.hub.recycle()
    return Done([], note="the workers are being replaced; the log says when each is")


def _list(session: Session, request: Admin) -> Done:
    return Done(session.policy.rules.in_force(session.policy.clock()))


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


def _put_in_force(session: Session, rules: list[Rule]) -> Done:
    def make() -> list[Rule]:
        session.policy.rules.make(rules, session.policy.clock())
        return rules

    return _decided(session, make)


def _decided(session: Session, decide: Callable[[], list[Rule]]) -> Done:
    """Change the rules while nobody on another node does. Waits. Raises Refused."""
    saved: Callable[[], None] | None = None
    try:
        with session.deciding():
            rules = decide()
            saved = session.policy.note_rules()
    except Refused:
        if saved is None:
            raise
    return Done(rules, saved=saved)  # which raises it again, when the rules are in force here


_OF_ALL: Final = "close", "open", "list", "recycle"
"""Actions without a target."""
_AT_ONCE: Final = "kick", "list", "recycle"
"""Actions that never wait."""
_WITHOUT_RULES: Final = *_AT_ONCE, "end"
"""Actions that change no rules."""
_LATER: Final = (
    "connections closed there are not counted; the rule takes effect when they hear of it."
)
_NOT_KICKED: Final = "who is connected there may not have been kicked. Try again."
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
    "recycle": _recycle,
    **dict.fromkeys(_UNDONE, _undo),
}
