"""What operators do: one function for each act, and a table that finds it.

An act that is begun is finished, whatever becomes of its session meanwhile. What they raise as
Refused the session answers with `error`. Each act is a line of the log.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from geventchat.protocol import events, names
from geventchat.protocol.errors import KICKED, Refused
from geventchat.protocol.requests import Admin
from geventchat.server.authority import audit
from geventchat.server.hub import Away
from geventchat.server.moderation import Network, Rule, moment, network, parsed
from geventchat.server.slices import in_slices
from geventchat.server.unbroken import unbroken

if TYPE_CHECKING:
    from geventchat.server.session import Session

_SHOWN: Final = 500
"""Rules that `list` gives at most."""
_STRIDE: Final = 100
"""Sessions that are looked at before others are served: some 0.5 ms."""

Done = tuple[list[Rule], int]
"""The rules that an act made, undid or found, and how many connections it ended."""
About = tuple[str, str, str]
"""What a rule is about: what it goes by, what it is found by, and how it is named."""


def act(session: "Session", request: Admin) -> events.Admin:
    """Do what an operator asks for, and put it on disk. Waits. Raises Refused."""
    if request.token is not None or not session.operator:
        session.authority.recognise(session, request.token, request.action)
    if request.action in _AT_ONCE:
        return _act(session, request)
    return unbroken(partial(_act, session, request))


def _act(session: "Session", request: Admin) -> events.Admin:
    authority = session.authority
    rules, ended = _TABLE[request.action](session, request)
    changed = rules if request.action not in _AT_ONCE else []
    until = changed[0].until if changed and request.action not in _UNDONE else None
    audit(
        session,
        request.action,
        target=", ".join(f"{rule.target_type} {rule.target}".rstrip() for rule in changed)
        or request.target,
        until=moment(until) if until is not None else None,
        reason=request.reason,
        connections_closed=ended or None,
    )
    if request.action not in _AT_ONCE:
        authority.keep()
    return events.Admin(
        action=request.action,
        rules=[rule.shown() for rule in rules[-_SHOWN:]],
        connections_closed=ended,
        total=len(authority.rules.in_force(authority.clock())),
        id=request.id,
    )


def _kick(session: "Session", request: Admin) -> Done:
    text = KICKED.text if request.reason is None else f"{KICKED.text[:-1]}: {request.reason}"
    ended = 0
    for other in _found(session, request):
        if other is not session:
            other.end(replace(KICKED, text=text))
            ended += 1
    if not ended:
        raise Refused("no_such_nick", "There is nobody to be kicked but you.")
    return [], ended


def _forbid(session: "Session", request: Admin) -> Done:
    """Make the rules of `ban` and `mute`."""
    about = list(_about(session, request))
    for target_type, value, _ in about:
        if _is(session, target_type, value):
            raise Refused(
                "forbidden", f"To {request.action} {request.target} would {request.action} you."
            )
    return _make(session, request, about), _weigh_all(session)


def _lock(session: "Session", request: Admin) -> Done:
    """Make the rules of `lock` and `freeze`."""
    room = names.room(_target(request))
    return _make(session, request, [("room", room, room)]), 0


def _close(session: "Session", request: Admin) -> Done:
    return _make(session, request, [("server", "", "")]), 0


def _undo(session: "Session", request: Admin) -> Done:
    action = _UNDONE[request.action]
    target = "" if action == "close" else _target(request)
    lifted = session.authority.rules.lift(action, target, request.target_type)
    if not lifted:
        if not target:
            raise Refused("bad_field", "action: the server is not closed.")
        raise Refused("bad_field", f"target: there is no {action} that is about {target}.")
    return lifted, _weigh_all(session)


def _list(session: "Session", request: Admin) -> Done:
    return session.authority.rules.in_force(session.authority.clock()), 0


def _make(session: "Session", request: Admin, about: list[About]) -> list[Rule]:
    now = session.authority.clock()
    rules = [
        Rule(
            action=request.action,
            target_type=target_type,
            target=target,
            operator=session.nick,
            time=int(now * 1000),
            until=int((now + request.seconds) * 1000) if request.seconds else None,
            reason=request.reason or "",
            value=value,
        )
        for target_type, value, target in about
    ]
    session.authority.rules.make(rules, now)
    return rules


def _weigh_all(session: "Session") -> int:
    """Let the rules be felt by all who are here; give how many connections that ended. Waits."""
    authority = session.authority
    ended = 0
    for other in in_slices(session.hub.sessions, _STRIDE):
        authority.weigh(other)
        banned = authority.banned(other.client, [other.nick], other.address)
        if banned is not None and not other.operator:
            other.end(banned)
            ended += 1
    return ended


def _about(session: "Session", request: Admin) -> Iterator[About]:
    """Give what a ban or a mute is about: an address, or a nick and the client that has it."""
    target, target_type = _target(request), request.target_type
    if target_type == "room":
        raise Refused("bad_field", f"target_type: one can {request.action} nobody by room.")
    if (meant := _network(session, request)) is not None:
        yield "address", str(meant), str(meant)
        return
    found = session.hub.present(target)
    client = found.client if found is not None else b""
    if target_type != "nick" and found is not None:
        if client:
            yield "client", client.hex(), found.nick
        elif request.action == "mute" and target_type is None:
            yield "guest", names.fold(found.nick), found.nick
        else:
            text = f"target: {found.nick} is a plain client, which is known by its address alone."
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


def _found(session: "Session", request: Admin) -> list["Session"]:
    """Give the sessions that a kick is about."""
    hub, target = session.hub, _target(request)
    if request.target_type == "room":
        return [other for other in hub.those_in(names.room(target)) if not other.operator]
    if (meant := _network(session, request)) is not None:
        return [
            other for other in hub.sessions if not other.operator and _within(meant, other.address)
        ]
    found = hub.present(target)
    if found is None or isinstance(found, Away):
        raise _nobody(target)
    return [found]


def _network(session: "Session", request: Admin) -> Network | None:
    """Give the network that an act is about: the one it names, or where a nick comes from."""
    if request.target_type not in (None, "address"):
        return None
    target = _target(request)
    meant = network(target)
    if meant is None and names.like_address(target):
        raise Refused("bad_field", f"target: {target} is no address.")
    if meant is None and request.target_type == "address":
        found = session.hub.present(target)
        if found is None or isinstance(found, Away):
            raise _nobody(target)
        meant = network(found.address)
    return meant


def _is(session: "Session", target_type: str, value: str) -> bool:
    """Say whether a rule would be about a session."""
    match target_type:
        case "address":
            meant = network(value)
            return meant is not None and _within(meant, session.address)
        case "client":
            return value == session.client.hex()
        case "nick":
            return value == names.skeleton(session.nick)
        case _:
            return False


def _within(meant: Network, address: str) -> bool:
    ip = parsed(address)
    return ip is not None and ip in meant


def _target(request: Admin) -> str:
    if request.target is None:
        raise Refused("bad_field", f"target: {request.action} needs a target.")
    return request.target


def _nobody(target: str) -> Refused:
    return Refused("no_such_nick", f"Nobody of the nick {target} is here now.")


_AT_ONCE: Final = "kick", "list"
"""They change no rule, and never wait."""
_UNDONE: Final = {
    "unban": "ban",
    "unmute": "mute",
    "unlock": "lock",
    "unfreeze": "freeze",
    "open": "close",
}
_TABLE: Final[dict[str, Callable[["Session", Admin], Done]]] = {
    "kick": _kick,
    "ban": _forbid,
    "mute": _forbid,
    "lock": _lock,
    "freeze": _lock,
    "close": _close,
    "list": _list,
    **dict.fromkeys(_UNDONE, _undo),
}
