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
        session.authority.recognise(session, request.token, request.act)
    if request.act in _AT_ONCE:
        return _act(session, request)
    return unbroken(partial(_act, session, request))


def _act(session: "Session", request: Admin) -> events.Admin:
    authority = session.authority
    rules, ended = _TABLE[request.act](session, request)
    changed = rules if request.act not in _AT_ONCE else []
    until = changed[0].until if changed and request.act not in _UNDONE else None
    audit(
        session,
        request.act,
        target=", ".join(f"{rule.by} {rule.whom}".rstrip() for rule in changed) or request.whom,
        until=moment(until) if until is not None else None,
        reason=request.reason,
        ended=ended or None,
    )
    if request.act not in _AT_ONCE:
        authority.keep()
    return events.Admin(
        act=request.act,
        rules=[rule.shown() for rule in rules[-_SHOWN:]],
        ended=ended,
        count=len(authority.rules.in_force(authority.clock())),
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
    for by, value, _ in about:
        if _is(session, by, value):
            raise Refused("forbidden", f"To {request.act} {request.whom} would {request.act} you.")
    return _make(session, request, about), _weigh_all(session)


def _lock(session: "Session", request: Admin) -> Done:
    """Make the rules of `lock` and `freeze`."""
    room = names.room(_whom(request))
    return _make(session, request, [("room", room, room)]), 0


def _close(session: "Session", request: Admin) -> Done:
    return _make(session, request, [("server", "", "")]), 0


def _undo(session: "Session", request: Admin) -> Done:
    effect = _UNDONE[request.act]
    whom = "" if effect == "close" else _whom(request)
    lifted = session.authority.rules.lift(effect, whom, request.by)
    if not lifted:
        if not whom:
            raise Refused("bad_field", "act: the server is not closed.")
        raise Refused("bad_field", f"whom: there is no {effect} that is about {whom}.")
    return lifted, _weigh_all(session)


def _list(session: "Session", request: Admin) -> Done:
    return session.authority.rules.in_force(session.authority.clock()), 0


def _make(session: "Session", request: Admin, about: list[About]) -> list[Rule]:
    now = session.authority.clock()
    rules = [
        Rule(
            effect=request.act,
            by=by,
            whom=whom,
            author=session.nick,
            time=int(now * 1000),
            until=int((now + request.seconds) * 1000) if request.seconds else None,
            reason=request.reason or "",
            value=value,
        )
        for by, value, whom in about
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
    whom, by = _whom(request), request.by
    if by == "room":
        raise Refused("bad_field", f"by: one can {request.act} nobody by room.")
    if (meant := _network(session, request)) is not None:
        yield "address", str(meant), str(meant)
        return
    found = session.hub.present(whom)
    client = found.client if found is not None else b""
    if by != "nick" and found is not None:
        if client:
            yield "client", client.hex(), found.nick
        elif request.act == "mute" and by is None:
            yield "guest", names.fold(found.nick), found.nick
        else:
            text = f"whom: {found.nick} is a plain client, which is known by its address alone."
            raise Refused("bad_field", text)
    elif by == "client":
        raise _nobody(whom)
    if by != "client" and not (by is None and names.fold(whom).startswith(names.GUEST)):
        nick = names.nick(whom if found is None else found.nick)
        yield "nick", names.skeleton(nick), nick
    elif found is None:
        raise _nobody(whom)


def _found(session: "Session", request: Admin) -> list["Session"]:
    """Give the sessions that a kick is about."""
    hub, whom = session.hub, _whom(request)
    if request.by == "room":
        return [other for other in hub.those_in(names.room(whom)) if not other.operator]
    if (meant := _network(session, request)) is not None:
        return [
            other for other in hub.sessions if not other.operator and _within(meant, other.address)
        ]
    found = hub.present(whom)
    if found is None or isinstance(found, Away):
        raise _nobody(whom)
    return [found]


def _network(session: "Session", request: Admin) -> Network | None:
    """Give the network that an act is about: the one it names, or where a nick comes from."""
    if request.by not in (None, "address"):
        return None
    whom = _whom(request)
    meant = network(whom)
    if meant is None and names.like_address(whom):
        raise Refused("bad_field", f"whom: {whom} is no address.")
    if meant is None and request.by == "address":
        found = session.hub.present(whom)
        if found is None or isinstance(found, Away):
            raise _nobody(whom)
        meant = network(found.address)
    return meant


def _is(session: "Session", by: str, value: str) -> bool:
    """Say whether a rule would be about a session."""
    match by:
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


def _whom(request: Admin) -> str:
    if request.whom is None:
        raise Refused("bad_field", f"whom: {request.act} needs to be told whom.")
    return request.whom


def _nobody(whom: str) -> Refused:
    return Refused("no_such_nick", f"Nobody of the nick {whom} is here now.")


_AT_ONCE: Final = "kick", "list"
"""They change no rule, and never wait."""
_UNDONE: Final = {
    "unban": "ban",
    "unmute": "mute",
    "unlock": "lock",
    "thaw": "freeze",
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
