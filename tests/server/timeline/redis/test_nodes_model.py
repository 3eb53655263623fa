"""Nodes, their engine and the network between them, with everything that can go wrong."""

from collections import defaultdict
from typing import TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from tests.server.timeline.redis.nodes_model import Node, waiting
from tests.server.timeline.redis.store_model import LEASE, Engine, Place, Say, Store, fresh

Thing = TypeVar("Thing")

MOST_NODES = 3
ANY = st.integers(0, 20)
"""One of those that are there."""


class Nodes(RuleBasedStateMachine):
    """Commands and answers are late or lost, nodes pause and die, engines lose what they had.

    A node pauses by taking no step. A command that is asked for again is there twice: the first
    may yet be executed, later, and even after its connection was closed.
    """

    node: type[Node] = Node
    store: type[Store] = Store

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        run = next(fresh)
        self.engines = [Engine(self.store(run), run=run)]
        """All that live; the last is the one to connect to."""
        self.nodes: list[Node] = []
        self.commands: list[tuple[Engine, Node, int, tuple[object, ...]]] = []
        self.answers: list[tuple[Node, int, object]] = []
        self.texts: dict[tuple[int, str, int], str] = {}
        """What clients were shown or told, on whatever node."""
        self.heard: dict[tuple[int, int, str], list[Place]] = defaultdict(list)
        """What each node has shown, by epoch and room."""
        self.open: list[Say] = []
        """Submissions that wait for a verdict."""
        self.doubtful: list[Say] = []
        self.again: list[Say] = []
        """Those of them that were sent again."""
        self.not_stored: set[str] = set()

    # What happens

    @initialize()
    def begin(self) -> None:
        self.a_node_comes(0)
        self.a_node_comes(0)
        for _ in range(3):
            self.all_goes_well(0)
            self.all_goes_well(1)

    @rule(which=ANY, room=st.sampled_from(["lobby", "tea"]), keyed=st.booleans())
    def say(self, which: int, room: str, keyed: bool) -> None:
        self.submit(which, Say(room, f"text {next(fresh)}", keyed))
        self.turn(which)

    @rule(which=ANY)
    def all_goes_well(self, which: int) -> None:
        """What a node does all the time."""
        for node in one(self.nodes, which):
            if node.engine is not self.engines[-1] or node.flight:
                node.connect(self.engines[-1], waited=False)
            self.beat(which)
            node.take_turn()
            while self.commands:
                self.execute(0, answers=True)
            while self.answers:
                self.answer(0)
            self.read(which, 100)

    @rule(which=ANY, doubtful=ANY)
    def a_client_comes_back(self, which: int, doubtful: int) -> None:
        """To any node, and sends again what it does not know the fate of."""
        if self.doubtful and self.nodes:
            say = self.doubtful.pop(doubtful % len(self.doubtful))
            self.again.append(say)
            self.submit(which, say)

    @rule(which=ANY)
    def turn(self, which: int) -> None:
        for node in one(self.nodes, which):
            node.take_turn()

    @rule(which=ANY, answers=st.booleans())
    def execute(self, which: int, answers: bool) -> None:
        """The engine runs any command that is under way; its answer may be lost."""
        for command in one(self.commands, which):
            self.commands.remove(command)
            engine, node, line, arguments = command
            if engine in self.engines and answers:
                self.answers.append((node, line, engine.do("turn", *arguments)))
            elif engine in self.engines:
                engine.execute("turn", *arguments)

    @rule(which=ANY)
    def answer(self, which: int) -> None:
        for each in one(self.answers, which):
            self.answers.remove(each)
            node, line, answer = each
            if node in self.nodes and line == node.line:
                node.answered(answer)

    @rule(which=ANY, most=st.integers(1, 4))
    def read(self, which: int, most: int) -> None:
        for node in one(self.nodes, which):
            if node.engine in self.engines:
                node.read(most)

    @rule(which=ANY)
    def beat(self, which: int) -> None:
        for node in one(self.nodes, which):
            if node.engine in self.engines:
                node.beat()

    @rule(which=ANY, waited=st.booleans())
    def connect(self, which: int, waited: bool) -> None:
        """A node's connection is lost, or an answer did not come in time."""
        for node in one(self.nodes, which):
            node.connect(self.engines[-1], waited=waited)

    @rule(seconds=st.integers(1, LEASE))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule(trouble=st.integers(0, 7), which=ANY, lost=st.integers(0, 12))
    def trouble(self, trouble: int, which: int, lost: int) -> None:
        """One rule, so that it is rarer than what happens all the time."""
        if trouble == 0:
            self.a_node_comes(which)
        elif trouble == 1:
            self.a_node_dies(which)
        elif trouble == 2:
            self.authors_waited_too_long(which)
        elif trouble == 3:
            self.the_engine_restarts(lost)
        elif trouble == 4:
            self.the_engine_restarts_with_an_older_file(lost)
        elif trouble == 5:
            self.a_replica_is_promoted(lost, lives_on=which % 2 == 0)
        elif trouble == 6:
            self.the_feed_is_trimmed()
        else:
            self.everything_is_deleted()

    def a_node_comes(self, which: int) -> None:
        for engine in one(self.engines, which):
            if len(self.nodes) < MOST_NODES and engine.run == engine.store.run:
                self.nodes.append(self.node(self, engine))

    def a_node_dies(self, which: int) -> None:
        for node in one(self.nodes, which):
            self.nodes.remove(node)
            for say in waiting([node]):
                self.told(node, say, None)

    def authors_waited_too_long(self, which: int) -> None:
        for node in one(self.nodes, which):
            node.give_up()

    def the_engine_restarts(self, lost: int) -> None:
        """What somebody may have seen was on its disk."""
        engine = self.engines.pop()
        self.copy(engine, max(engine.seen, len(engine.states) - 1 - lost), promoted=False)

    def the_engine_restarts_with_an_older_file(self, lost: int) -> None:
        engine = self.engines.pop()
        self.copy(engine, max(0, len(engine.states) - 1 - lost), promoted=False)

    def a_replica_is_promoted(self, lost: int, *, lives_on: bool) -> None:
        engine = self.engines[-1]
        if not lives_on:
            self.engines.pop()
        self.copy(engine, max(0, len(engine.states) - 1 - lost), promoted=True)

    def the_feed_is_trimmed(self) -> None:
        self.engines[-1].do("trim")

    def everything_is_deleted(self) -> None:
        if self.engines[-1].store.epoch:
            self.engines[-1].do("flush")

    # What must hold

    def send(self, node: Node, number: int, says: tuple[Say, ...]) -> None:
        assert node.engine is not None
        arguments = node.id, node.life, number, says
        self.commands.append((node.engine, node, node.line, arguments))

    def hear(self, node: Node, place: Place) -> None:
        """Each post once, in order, and as others saw it."""
        assert place.epoch == node.epoch
        heard = self.heard[node.id, node.epoch, place.room]
        assert not heard or place.position == heard[-1].position + 1
        heard.append(place)
        self.agree(place)

    def told(self, node: Node, say: Say, place: Place | None) -> None:
        self.open.remove(say)  # one verdict for each
        if place is None:
            if say.keyed:
                self.doubtful.append(say)
            return
        assert place.text == say.text
        self.agree(place)
        assert place.position <= node.tops.get(place.room, 0)  # its node has heard it

    def failed(self, node: Node, say: Say) -> None:
        self.open.remove(say)
        if say not in self.again:  # of these an earlier attempt may have been stored
            self.not_stored.add(say.text)

    def agree(self, place: Place) -> None:
        """Each place has one text for everybody."""
        assert self.texts.setdefault(place[:3], place.text) == place.text

    @invariant()
    def what_was_seen_is_in_the_record_of_its_epoch(self) -> None:
        for engine in self.engines:
            store = engine.store
            if engine.run == store.run:
                for (epoch, room, position), text in self.texts.items():
                    if epoch == store.epoch:
                        assert store.rooms.get(room, ())[position - 1 : position] == (text,)

    @invariant()
    def nothing_is_stored_twice(self) -> None:
        for engine in self.engines:
            for texts in engine.store.rooms.values():
                assert len(set(texts)) == len(texts)
                assert self.not_stored.isdisjoint(texts)

    @invariant()
    def a_node_whose_lease_has_ended_stores_nothing(self) -> None:
        for engine in self.engines:
            if len(engine.states) > 1:
                before, after = (state for state in engine.states[-2:])
                new = [entry for entry in after.feed if entry.id > before.feed[-1].id]
                assert not {entry.node for entry in new} & before.ended

    def check(self) -> None:
        self.what_was_seen_is_in_the_record_of_its_epoch()
        self.nothing_is_stored_twice()
        self.a_node_whose_lease_has_ended_stores_nothing()

    def teardown(self) -> None:
        """When nothing goes wrong any more, everybody hears everything and gets a verdict."""
        for _ in range(2 * LEASE):
            self.now += 1
            for which, node in enumerate(self.nodes):
                if node.engine is not self.engines[-1]:
                    node.connect(self.engines[-1], waited=True)
                self.all_goes_well(which)
        if self.nodes:
            for node in self.nodes:
                node.read(1000)
                rooms = node.engine.store.rooms if node.engine is not None else {}
                assert node.tops == {room: len(texts) for room, texts in rooms.items()}
            assert self.open == []

    def submit(self, which: int, say: Say) -> None:
        for node in one(self.nodes, which):
            self.open.append(say)
            node.pending.append(say)

    def copy(self, engine: Engine, upto: int, *, promoted: bool) -> None:
        """Let an engine go on in another process with what it had then.

        One that was promoted, and restarts before any node has asked, looks like the original. That
        it then is not, with the original still alive, is left out: nothing tells.
        """
        run, state = next(fresh), engine.states[upto]
        promoted = promoted or (engine.promoted and state.run != engine.run)
        self.engines.append(Engine(state, run=run, promoted=promoted))


def one(things: list[Thing], which: int) -> list[Thing]:
    return things[which % len(things) :][:1] if things else []


TestNodes = pytest.mark.timeout(600)(Nodes.TestCase)
TestNodes.settings = settings(max_examples=150, stateful_step_count=50)
