"""Three servers on one engine, whose clients do to accounts whatever they may, all at once.

In the end all servers have the same in memory as is stored, and each connection is where its
account is.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import gevent
import pytest

from geventchat.server.people.marks import COUNTED, CountedRecord
from geventchat.server.people.new_epoch import KINDS, kept
from geventchat.server.people.records import encoded
from tests.conversations.chat import Chat, chatting
from tests.conversations.operators import TOKEN
from tests.conversations.peers import Rich
from tests.conversations.signed_in import PASSWORD, registered
from tests.engines import RunningEngine

pytestmark = pytest.mark.timeout(600)

NAMES = "Ann", "Bob", "Cid", "Dora", "Eve"
ROOMS = "tea", "plans", "attic"
_ASKS = 40
"""Requests of each client."""


@pytest.fixture
def nodes(engines: Callable[[str], RunningEngine], options: dict[str, Any]) -> Iterator[list[Chat]]:
    """Return three servers on one engine."""
    url = engines("valkey").url
    with ExitStack() as stack:
        yield [stack.enter_context(chatting(url, options=options)) for _ in range(3)]


class Person:
    """Somebody with an account and a connection to a random server, who asks for anything."""

    def __init__(self, nodes: list[Chat], chance: random.Random, first: Rich) -> None:
        self._nodes = nodes
        self._chance = chance
        self._password = PASSWORD
        self.account: str = first.welcome["account"]
        self.session: str = first.welcome["session"]
        self._numbers = 0
        self.peer = first

    def go_on(self) -> None:
        """Ask for one thing after the other; connect to another server now and then."""
        for _ in range(_ASKS):
            try:
                with gevent.Timeout(20):
                    self._ask()
            except (EOFError, OSError):
                if not self._connect():
                    return

    def _connect(self) -> bool:
        """Connect to any server; return whether its session still holds."""
        self.peer.socket.close()
        while True:
            with suppress(EOFError, OSError):  # of a server that ends
                chat = self._chance.choice(self._nodes)
                self.peer = chat.rich(account={"session": self.session})
                return bool(self.peer.welcome.get("account"))

    def _ask(self) -> None:
        chance = self._chance
        room, name = chance.choice(ROOMS), chance.choice(NAMES)
        self._numbers += 1
        requests: list[tuple[str, dict[str, Any]]] = [
            ("join", {"room": room}),
            ("join", {"room": room}),
            ("leave", {"room": room}),
            ("create", {"room": room}),
            ("invite", {"room": room, "nick": name}),
            ("invite", {"room": room, "nick": name}),
            ("remove", {"room": room, "nick": name}),
            ("moderator", {"room": room, "nick": name, "on": chance.random() < 0.7}),
            ("mute", {"room": room, "nick": name, "on": chance.random() < 0.5}),
            ("open", {"with": name}),
            ("direct", {"to": name, "text": f"for @{name}", "key": f"{self._numbers}"}),
            ("say", {"room": "lobby", "text": f"hello @{name}", "key": f"{self._numbers}"}),
            ("say", {"room": room, "text": f"here @{name}", "key": f"{self._numbers}"}),
            ("read", {"room": chance.choice((*ROOMS, "lobby")), "position": chance.randrange(9)}),
            ("block", {"nick": name, "on": chance.random() < 0.3}),
            ("nick", {"nick": name}),
            ("nick", {"nick": f"{name}-{self._numbers}"}),
            ("sessions", {}),
            ("hook", {"action": "add", "room": room}),
            ("accounts", {"action": "remove", "nick": f"Zoe-{chance.randrange(_ASKS)}"}),
            ("accounts", {"action": "add", "nick": f"Zoe-{self._numbers}", "password": PASSWORD}),
            ("bye", {}),
        ]
        kind, fields = chance.choice(requests)
        if kind == "accounts":
            fields["token"] = TOKEN
        if kind == "bye":
            raise EOFError
        if kind == "say":  # has no answer of its own
            self.peer.tell(kind, **fields)
            self.peer.pong()
        else:
            answer = self.peer.ask(kind, **fields)
            assert answer.get("code") not in ("storage", "internal"), answer


def records(chat: Chat) -> dict[tuple[str, str], bytes | None]:
    """Return what a server has in memory of people."""
    people = chat.server._hub.people
    return {each.record: encoded(each.value()) for kind in KINDS for each in kept(people, kind)}


def stored(chat: Chat) -> dict[tuple[str, str], bytes | None]:
    timeline = chat.server._timeline
    found = {(kind, number): value for kind in KINDS for number, value in timeline.records(kind)}
    # A room of which nothing is counted needs no record.
    nothing = encoded(CountedRecord(0))
    rooms = {record: nothing for record in records(chat) if record[0] == COUNTED}
    return {**rooms, **found}


def differing(one: Any, other: Any) -> dict[Any, Any]:
    return {
        record: (one.get(record), other.get(record))
        for record in one | other
        if one.get(record) != other.get(record)
    }


@pytest.mark.parametrize("seed", range(2))
def test_all_servers_agree_with_each_other_and_with_what_is_stored(
    nodes: list[Chat], seed: int
) -> None:
    for each in everybody(nodes, seed):
        each.get(timeout=90)
    agree(nodes)


def test_the_others_agree_when_one_of_them_has_ended_meanwhile(nodes: list[Chat]) -> None:
    """The one that writes what is counted: another does so from then on."""
    asking = everybody(nodes, 7)
    first = min(nodes, key=lambda chat: chat.server._timeline.nodes.name)
    gevent.wait(asking, count=1, timeout=90)
    nodes.remove(first)
    first.stop()
    for each in asking:
        each.get(timeout=90)
    agree(nodes)


def everybody(nodes: list[Chat], seed: int) -> list["gevent.Greenlet[..., None]"]:
    """Have two connections of each account ask for anything; return the greenlets."""
    chance = random.Random(seed)
    people = []
    for name in NAMES:
        first = registered(chance.choice(nodes), name)
        people.append(Person(nodes, random.Random(f"{seed} {name}"), first))
        second = Person(nodes, random.Random(f"{seed} {name} again"), first)
        second.peer = chance.choice(nodes).rich(account={"session": first.welcome["session"]})
        people.append(second)
    return [gevent.spawn(each.go_on) for each in people]


def agree(nodes: list[Chat]) -> None:
    """Assert that servers come to have the same in memory as is stored."""
    end = time.monotonic() + 20
    unlike: list[Any] = [True]
    while any(unlike):
        assert time.monotonic() < end, unlike
        for chat in nodes:
            chat.server._hub.people.marks.write()
        gevent.sleep(0.2)
        states = [records(chat) for chat in nodes]
        unlike = [differing(states[0], each) for each in (*states[1:], stored(nodes[0]))]
    for chat in nodes:
        check_places(chat)


def check_places(chat: Chat) -> None:
    """Assert that each connection of an account is where its account is."""
    hub = chat.server._hub
    for session, rooms in hub.sessions.items():
        if session.account is not None:
            joined = {each.room for each in session.account.memberships.values() if each.joined}
            with suppress(KeyError):
                joined -= {name for name in joined if name.startswith("@")}
            there = {name for name in rooms if not name.startswith("@")}
            assert there == joined, session.nick
            assert session.nick == session.account.nick
