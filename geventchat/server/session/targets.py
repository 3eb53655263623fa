"""Whom an operator means: the clients, addresses and accounts that an action names."""

from collections.abc import Iterator
from functools import cached_property

from geventchat.protocol import names
from geventchat.protocol.errors import Refused
from geventchat.protocol.requests import Admin
from geventchat.server.access.rules import Network, check_width, network
from geventchat.server.participant import Participant
from geventchat.server.people.account import Account
from geventchat.server.session.reach import Found, Kicked, Reach
from geventchat.server.session.session import Session

Target = tuple[str, str, str]
"""Type, lookup value and name of a target."""


class Named:
    """Whom the target of a request names, on any node. Raises Refused if that is nothing.

    Everything may wait up to 2 s for other nodes, which are asked at most once.
    """

    def __init__(self, session: Session, request: Admin) -> None:
        self.reach = Reach(session.hub)
        self._request = request
        self._hub = session.hub
        self._target = target_of(request)

    @cached_property
    def _found(self) -> tuple[Found | None, Participant | None]:
        by_address = self._request.target_type == "address"
        return self.reach.find(self._target, connected=by_address)

    @property
    def _account(self) -> Account | None:
        return self._hub.owners.find_account(self._target)

    @cached_property
    def _network(self) -> Network | None:
        """The network of the request: the one it names, or that of a nick."""
        if self._request.target_type not in (None, "address"):
            return None
        meant = network(self._target)
        if meant is None and names.like_address(self._target):
            raise Refused("bad_field", f"target: {self._target} is not a valid address.")
        if meant is None and self._request.target_type == "address":
            found, _ = self._found
            if found is None or found.address is None:
                raise self._nobody()
            meant = network(found.address)
        return meant

    def targets(self) -> Iterator[Target]:
        """Yield the targets of a ban or a mute: an address, or a nick and its client."""
        target, request = self._target, self._request
        if request.target_type == "room":
            raise Refused("bad_field", f"target_type: {request.action} does not support room.")
        if (meant := self._network) is not None:
            yield "address", str(meant), str(meant)
            return
        if (account := self._account) is not None:
            yield "account", account.id, account.nick
            return
        found, _ = self._found
        if request.target_type != "nick" and found is not None:
            if found.client:
                yield "client", found.client.hex(), found.nick
            elif request.action == "mute" and request.target_type is None:
                yield "guest", names.fold(found.nick), found.nick
            else:
                text = f"target: {found.nick} is a plain client; use its address."
                raise Refused("bad_field", text)
        elif request.target_type == "client":
            raise self._nobody()
        if request.target_type != "client" and not (
            request.target_type is None and names.fold(target).startswith(names.GUEST)
        ):
            nick = names.nick(target if found is None else found.nick)
            yield "nick", names.skeleton(nick), nick
        elif found is None:
            raise self._nobody()

    def check_reach(self) -> None:
        """Raise Refused if a ban or mute hits nobody, or more than the one who was named."""
        action, meant = self._request.action, self._network
        if meant is not None:
            check_width(meant)
            if network(self._target) is None:  # an address was not named: others may share it
                _, here = self._found
                others = self.reach.count(meant, here) - (here is None)
                if others > 0:
                    many = f"{others:,} other client{'' if others == 1 else 's'}"
                    text = f"{many} would go too. To {action} all of them, name {meant} itself."
                    raise Refused("forbidden", text)
        elif (
            action == "mute"
            and self._request.target_type is None
            and self._account is None
            and self._found[0] is None
        ):
            text = "To mute whoever takes that nick, mute it by nick."
            raise Refused("no_such_nick", f"{self._nobody().text} {text}")

    def kicked(self) -> Kicked:
        """Return who is to be kicked."""
        reason = self._request.reason
        if self._request.target_type == "room":
            return Kicked("room", names.room(self._target), reason)
        if (meant := self._network) is not None:
            return Kicked("address", str(meant), reason)
        if (account := self._account) is not None:
            return Kicked("account", account.id, reason)
        return Kicked("nick", self._target, reason)

    def nobody_kicked(self, kicked: Kicked, *, spared: bool) -> Refused:
        """Return why nobody was kicked."""
        if kicked.by in ("account", "nick") and not spared:
            return self._nobody()
        return Refused("no_such_nick", "Only you match; nobody was kicked.")

    def _nobody(self) -> Refused:
        text = f"{self._target} is not online."
        note = self.reach.note("it may be there.")
        return Refused("no_such_nick", text if note is None else f"{text} {note}")


def target_of(request: Admin) -> str:
    """Return the target of a request, which it needs. Raises Refused. Never waits."""
    if request.target is None:
        raise Refused("bad_field", f"target: {request.action} needs a target.")
    return request.target
