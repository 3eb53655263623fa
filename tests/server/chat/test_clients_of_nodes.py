"""Clients and nicks over three nodes: each nick has one owner, in whatever order things happen.

The hubs, the sessions and the claims are the real ones, and so is the engine's script. Each
exchange with the engine and each entry of the feed comes when the model says so; answers are lost.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import gevent
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from geventchat.protocol import names
from geventchat.protocol.errors import KICKED, LOST, QUIT, REPLACED, Ending, Reason, Refused
from geventchat.server.chat.away import Away
from geventchat.server.session import handlers
from geventchat.server.session.session import Session
from tests.engines import RunningEngine
from tests.server.hub_harness import Harness, heard
from tests.server.timeline.redis.gated import GatedNodes, emptied, let_run

NODES = 3
CLIENTS = 3
clients = st.integers(0, CLIENTS - 1)
places = st.integers(0, NODES - 1)
nicks = st.sampled_from(["Ann", "Bob", "ANN", "Bemd", "Bernd"])


class Node:
    """A hub on a node, and what its sessions are doing."""

    def __init__(self, engine: RunningEngine) -> None:
        self.harness = Harness()
        self.hub = self.harness.hub
        self.nodes = GatedNodes(engine)
        self.harness.timeline.nodes = self.nodes
        self.hub.owners.nicks.numbers = self.nodes.next_guest
        self.hub.other_nodes.on_moved = self.hub.hear_moved
        self.nodes.listen(self.hub.other_nodes)
        self.busy: dict[Session, gevent.Greenlet[..., None]] = {}
        self.said: list[str] = []

    def do(self, session: Session, work: Callable[[], Any]) -> None:
        """Have a session do something, unless it is doing something already."""
        if session in self.busy or session.ending is not None:
            return

        def run() -> None:
            session._reader = gevent.getcurrent()
            try:
                with suppress(Refused):
                    work()
            except Ending as ending:
                session.ending = session.ending or ending.reason
            finally:
                session._reader = None
                del self.busy[session]
                if session.ending is not None:
                    self.goodbye(session, session.ending)

        self.busy[session] = gevent.spawn(run)
        let_run()

    def hello(self, client: bytes) -> None:
        session = self.harness.session(rich=True)
        session.rooms = self.hub.add(session)
        self.do(session, lambda: handlers._authenticate(session, client, None, time.monotonic()))

    def rename(self, client: bytes, nick: str) -> None:
        session = self.hub.owners.clients.get(client)
        if isinstance(session, Session):
            self.do(session, lambda: session.rename(nick))

    def end(self, client: bytes, reason: Reason) -> None:
        session = self.hub.owners.clients.get(client)
        if isinstance(session, Session):
            session.end(reason)
            if session not in self.busy:
                self.goodbye(session, reason)
            let_run()

    def goodbye(self, session: Session, reason: Reason) -> None:
        session._closing = True
        self.hub.remove(session, reason)

    def goodbyes(self) -> None:
        """Have those leave that were told to, and do nothing."""
        for session in list(self.hub.sessions):
            assert isinstance(session, Session)
            if session.ending is not None and session not in self.busy:
                self.goodbye(session, session.ending)

    def end_hold(self, client: bytes) -> None:
        away = self.hub.owners.clients.get(client)
        if isinstance(away, Away):
            away.until = 0.0
            for _ in self.hub._due(1.0):
                pass

    def close(self) -> None:
        gevent.killall(list(self.busy.values()))
        self.nodes.end()


class NodesModel(RuleBasedStateMachine):
    """Each rule is one small step; then all ready greenlets run."""

    engine: RunningEngine

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        waits = iter(lambda: 0.0, None)
        self.patch.setattr("geventchat.server.timeline.redis.asking.pauses", lambda: waits)
        emptied(self.engine)
        self.nodes = [Node(self.engine) for _ in range(NODES)]

    @rule(place=places, client=clients)
    def hello(self, place: int, client: int) -> None:
        self.nodes[place].hello(number(client))

    @rule(place=places, client=clients, nick=nicks)
    def rename(self, place: int, client: int, nick: str) -> None:
        self.nodes[place].rename(number(client), nick)

    @rule(place=places, client=clients, reason=st.sampled_from([LOST, QUIT, KICKED]))
    def end(self, place: int, client: int, reason: Reason) -> None:
        self.nodes[place].end(number(client), reason)

    @rule(place=places, client=clients)
    def end_hold(self, place: int, client: int) -> None:
        self.nodes[place].end_hold(number(client))

    @rule(place=places, lost=st.booleans())
    def exchange(self, place: int, lost: bool) -> None:
        nodes = self.nodes[place].nodes
        nodes.gate.losing = lost
        nodes.gate.let_through()
        nodes.gate.losing = False
        let_run()

    @rule(place=places)
    def exchange_again(self, place: int) -> None:
        self.exchange(place, False)

    @rule(place=places)
    def hear(self, place: int) -> None:
        self.nodes[place].nodes.hear()
        let_run()

    @rule(place=places)
    def goodbyes(self, place: int) -> None:
        self.nodes[place].goodbyes()
        let_run()

    @rule(place=places)
    def replace_node(self, place: int) -> None:
        self.nodes[place].close()
        self.nodes[place] = Node(self.engine)

    @invariant()
    def each_nick_has_one_owner(self) -> None:
        owners: dict[str, set[bytes]] = {}
        for node in self.nodes:
            for client, owner in node.hub.owners.clients.items():
                owners.setdefault(names.fold(owner.nick), set()).add(client)
                assert node.hub.owners.nicks.owner(owner.nick) is owner
        for nick, several in owners.items():
            assert len(several) == 1, nick

    def teardown(self) -> None:
        try:
            self.settle()
            self.check_settled()
        finally:
            for node in self.nodes:
                node.close()
            self.patch.undo()

    def settle(self) -> None:
        """Have everything happen that is due."""
        for _ in range(500):
            idle = True
            for node in self.nodes:
                idle = not node.nodes.gate.let_through() and idle
                let_run()
                idle = not node.nodes.hear() and idle
                let_run()
                node.goodbyes()
                let_run()
            if idle and not any(node.busy or not node.nodes.claims.idle for node in self.nodes):
                return
        raise AssertionError("it does not settle")

    def check_settled(self) -> None:
        """Each client is on one node, and the engine knows of it, and of nothing else."""
        self.each_nick_has_one_owner()
        found = [client for node in self.nodes for client in node.hub.owners.clients]
        assert len(found) == len({*found})
        chosen = sorted(
            names.fold(owner.nick)
            for node in self.nodes
            for owner in node.hub.owners.clients.values()
            if not owner.nick.startswith(names.GUEST)
        )
        living = {node.nodes.node.encode() for node in self.nodes}
        stored = self.engine.call("HGETALL", "{gc}:claims")
        claimed = sorted(
            field[2:].decode()
            for field, value in zip(stored[::2], stored[1::2], strict=True)
            if field.startswith(b"n:") and any(node in value for node in living)
        )
        assert claimed == chosen


def number(client: int) -> bytes:
    return hashlib.blake2b(b"%d" % client, digest_size=16).digest()


@pytest.mark.parametrize("examples", [100])
def test_each_nick_has_one_owner_whatever_happens(engine: RunningEngine, examples: int) -> None:
    model = type("Model", (NodesModel,), {"engine": engine})
    checks = [HealthCheck.too_slow]
    options = settings(
        max_examples=examples, stateful_step_count=50, deadline=None,
        suppress_health_check=checks,
    )  # fmt: skip
    run_state_machine_as_test(model, settings=options)


@pytest.fixture
def two(engine: RunningEngine) -> Iterator[tuple[Node, Node]]:
    emptied(engine)
    one, other = Node(engine), Node(engine)
    yield one, other
    one.close()
    other.close()


ANN = number(1)


def settle(*nodes: Node) -> None:
    """Have everything happen that is due."""
    for _ in range(20):
        for node in nodes:
            node.nodes.gate.let_through()
            let_run()
            while node.nodes.hear():
                let_run()
            node.goodbyes()


def test_a_client_that_moves_on_before_it_is_admitted_is_on_one_node(
    two: tuple[Node, Node],
) -> None:
    one, other = two
    one.hello(ANN)
    one.nodes.gate.losing = True
    one.nodes.gate.let_through()
    other.hello(ANN)
    settle(other)
    while one.nodes.hear():
        let_run()
    settle(one)
    assert ANN in other.hub.owners.clients
    assert ANN not in one.hub.owners.clients


def test_a_client_that_moves_is_announced_to_nobody(two: tuple[Node, Node]) -> None:
    one, other = two
    one.hello(ANN)
    settle(one)
    ann, bob = one.hub.owners.clients[ANN], one.harness.session(rich=True)
    assert isinstance(ann, Session)
    bob.rooms = one.hub.add(bob)
    for session in (ann, bob):
        one.hub.go_live(one.hub.join(session, "tea"))
    told = len(heard(bob))
    one.rename(ANN, "Ann")
    settle(one)
    assert len(heard(bob)) == told + 1
    other.hello(ANN)
    settle(one, other)
    assert ann.ending is REPLACED
    assert other.hub.owners.clients[ANN].nick == "Ann"
    assert len(heard(bob)) == told + 1
    one.hub.end_move(ANN)
    assert b'"leave"' in heard(bob)[-1]


def test_a_hold_that_ends_while_its_client_comes_back_keeps_the_nick(
    two: tuple[Node, Node],
) -> None:
    one, other = two
    one.hello(ANN)
    settle(one)
    one.rename(ANN, "Ann")
    settle(one)
    one.end(ANN, LOST)
    settle(one)
    one.hello(ANN)
    one.nodes.gate.let_through()
    one.end_hold(ANN)
    settle(one)
    assert one.hub.owners.clients[ANN].nick == "Ann"
    other.hello(number(2))
    settle(other)
    other.rename(number(2), "Ann")
    settle(other)
    assert other.hub.owners.clients[number(2)].nick != "Ann"
