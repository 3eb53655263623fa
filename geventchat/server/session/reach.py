"""Whom operators reach on all nodes: who has a nick, is kicked, or connected from a network.

What is done here is also done for operators of other nodes, who ask for it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Literal

import msgspec
from msgspec import Struct

from geventchat.protocol.errors import KICKED
from geventchat.server.access.rules import Network, network, within
from geventchat.server.chat.away import Away
from geventchat.server.chat.hub import Hub
from geventchat.server.participant import Participant
from geventchat.server.people.account import Account
from geventchat.server.session.enforcement import STRIDE
from geventchat.server.slices import in_slices

FIND: Final = "find"
KICK: Final = "kick"
COUNT: Final = "count"
CONNECTED: Final = "connected"
_encode: Final = msgspec.msgpack.encode
_decode: Final = msgspec.msgpack.decode


class Found(Struct, array_like=True, frozen=True):
    """Somebody with a nick, on any node: a client, or one of those of an account."""

    nick: str
    client: bytes
    address: str | None
    """None: the client has lost its connection, and may come back."""


class Kicked(Struct, array_like=True, frozen=True):
    """Who is kicked."""

    by: Literal["room", "address", "account", "nick"]
    value: str
    """The name of the room, a network, the id of the account, or the nick."""
    reason: str | None


class Reach:
    """The nodes that an operator's command reaches, and those that did not answer."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.silent: set[str] = set()

    def find(
        self, nick: str, *, connected: bool = False
    ) -> tuple[Found | None, Participant | None]:
        """Return who has a nick, and the connection if it is here. Waits up to 2 s for others.

        `connected`: a client that is away is looked for on other nodes, too.
        """
        here, participant = find_here(self.hub, nick)
        if here is not None and (participant is not None or not connected):
            return here, participant
        answers = self.ask(FIND, nick.encode())
        found = [_decode(each, type=Found | None) for each in answers]
        found.sort(key=lambda each: each is None or each.address is None)
        return next((each for each in found if each is not None), here), None

    def kick(self, kicked: Kicked, spared: Participant) -> tuple[int, bool]:
        """Kick clients on all nodes; return how many, and whether one was spared. Waits."""
        matching = kicked_here(self.hub, kicked)
        ended = end_all(matching, kicked, spared)
        if kicked.by != "nick" or not matching:
            ended += sum(_decode(each, type=int) for each in self.ask(KICK, _encode(kicked)))
        return ended, spared in matching

    def count(self, meant: Network, spared: Participant | None) -> int:
        """Return how many clients, but one, are connected from a network. Waits up to 2 s."""
        here = count_here(self.hub, meant, spared)
        return here + sum(_decode(each, type=int) for each in self.ask(COUNT, str(meant).encode()))

    def ask(self, what: str, about: bytes) -> list[bytes]:
        """Return what the other nodes answer; note those that do not. Waits up to 2 s."""
        answers = self.hub.questions.ask(what, about)
        self.silent.update(answers.silent)
        return list(answers.contents.values())

    def note(self, then: str) -> str | None:
        """Return a sentence about the nodes that did not answer, and what follows, if any."""
        return self.hub.questions.note(self.silent, then)


def find_here(hub: Hub, nick: str) -> tuple[Found | None, Participant | None]:
    """Return who has a nick on this node, and the connection if there is one. Never waits."""
    found = hub.owners.find(nick)
    if found is None:
        return None, None
    if isinstance(found, Away):
        return Found(found.nick, found.client, None), None
    return Found(found.nick, found.client, found.address), found


def kicked_here(hub: Hub, kicked: Kicked) -> list[Participant]:
    """Return who is to be kicked on this node. Never waits."""
    match kicked.by:
        case "room":
            return [each for each in hub.participants_in(kicked.value) if not each.operator]
        case "address":
            meant = network(kicked.value)
            assert meant is not None
            return [
                each for each in hub.sessions if not each.operator and within(meant, each.address)
            ]
        case "account":
            account = hub.people.find(kicked.value)
            return hub.devices.connected(account) if account is not None else []
        case _:
            _, found = find_here(hub, kicked.value)
            return [found] if found is not None else []


def end_all(matching: list[Participant], kicked: Kicked, spared: Participant | None) -> int:
    """Kick clients but one; return how many. Never waits."""
    text = KICKED.text if kicked.reason is None else f"{KICKED.text[:-1]}: {kicked.reason}"
    others = [each for each in matching if each is not spared]
    for each in others:
        each.end(replace(KICKED, text=text))
    return len(others)


def count_here(hub: Hub, meant: Network, spared: Participant | None) -> int:
    """Return how many clients of this node, but one, are connected from a network. May wait."""
    return sum(
        each is not spared and within(meant, each.address)
        for each in in_slices(hub.sessions, STRIDE)
    )


def connections(hub: Hub, accounts: Sequence[Account]) -> dict[str, Counter[str]]:
    """Return how many connections accounts have on all nodes, by the ids of account and login.

    Waits up to 2 s for other nodes; those of one that does not answer are missing.
    """
    ids = [account.id for account in accounts]
    found = connections_here(hub, ids)
    for answer in hub.questions.ask(CONNECTED, _encode(ids)).contents.values():
        for number, counts in _decode(answer, type=dict[str, dict[str, int]]).items():
            found[number].update(counts)
    return found


def connections_here(hub: Hub, accounts: Sequence[str]) -> dict[str, Counter[str]]:
    """Return the same of this node. Never waits."""
    found = {number: Counter[str]() for number in accounts}
    for number, counts in found.items():
        if (account := hub.people.find(number)) is not None:
            logins = (each.login for each in hub.devices.connected(account))
            counts.update(login.id for login in logins if login is not None)
    return found


def answer_others(hub: Hub) -> None:
    """Answer the operators of other nodes from now on. Never waits."""

    def kick(about: bytes) -> bytes:
        kicked = _decode(about, type=Kicked)
        return _encode(end_all(kicked_here(hub, kicked), kicked, None))

    def count(about: bytes) -> bytes:
        meant = network(about.decode())
        assert meant is not None
        return _encode(count_here(hub, meant, None))

    def connected(about: bytes) -> bytes:
        return _encode(connections_here(hub, _decode(about, type=list[str])))

    hub.questions.answer(CONNECTED, connected)
    hub.questions.answer(FIND, lambda about: _encode(find_here(hub, about.decode())[0]))
    hub.questions.answer(KICK, kick)
    hub.questions.answer(COUNT, count)
