"""Whom an operator means: the clients, addresses and accounts that an action names."""

from collections.abc import Iterator

from geventchat.protocol import names
from geventchat.protocol.errors import Refused
from geventchat.protocol.requests import Admin
from geventchat.server.access.rules import Network, check_width, network, within
from geventchat.server.chat.away import Away
from geventchat.server.participant import Participant
from geventchat.server.session.enforcement import STRIDE
from geventchat.server.session.session import Session
from geventchat.server.slices import in_slices

Target = tuple[str, str, str]
"""Type, lookup value and name of a target."""


def targets(session: Session, request: Admin) -> Iterator[Target]:
    """Yield the targets of a ban or a mute: an address, or a nick and its client."""
    target, target_type = target_of(request), request.target_type
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
        raise nobody(target)
    if target_type != "client" and not (
        target_type is None and names.fold(target).startswith(names.GUEST)
    ):
        nick = names.nick(target if found is None else found.nick)
        yield "nick", names.skeleton(nick), nick
    elif found is None:
        raise nobody(target)


def check_reach(session: Session, request: Admin) -> None:
    """Raise Refused if a ban or mute hits nobody, or more than the one who was named. May wait."""
    target, action = target_of(request), request.action
    named, meant = session.hub.owners.find(target), _network(session, request)
    if meant is not None:
        check_width(meant)
        if named is not None:  # an address was not named: others may share it
            others = sum(
                other is not named and within(meant, other.address)
                for other in in_slices(session.hub.sessions, STRIDE)
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
        text = f"{nobody(target).text} To mute whoever takes that nick, mute it by nick."
        raise Refused("no_such_nick", text)


def sessions_to_kick(session: Session, request: Admin) -> list[Participant]:
    """Return the sessions to kick."""
    hub, target = session.hub, target_of(request)
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
        raise nobody(target)
    return [found]


def _network(session: Session, request: Admin) -> Network | None:
    """Return the network of a request: the one it names, or that of a nick."""
    if request.target_type not in (None, "address"):
        return None
    target = target_of(request)
    meant = network(target)
    if meant is None and names.like_address(target):
        raise Refused("bad_field", f"target: {target} is not a valid address.")
    if meant is None and request.target_type == "address":
        found = session.hub.owners.find(target)
        if found is None or isinstance(found, Away):
            raise nobody(target)
        meant = network(found.address)
    return meant


def target_of(request: Admin) -> str:
    """Return the target of a request, which it needs. Raises Refused."""
    if request.target is None:
        raise Refused("bad_field", f"target: {request.action} needs a target.")
    return request.target


def nobody(target: str) -> Refused:
    """Return the refusal for a nick that nobody has now."""
    return Refused("no_such_nick", f"{target} is not online.")
