"""Bugs of nodes, and the story in which the model finds each."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.server.timeline.redis.nodes_model import Node
from tests.server.timeline.redis.store_model import (
    LEASE,
    NOTHING,
    QUIET,
    Answer,
    Engine,
    Lease,
    Say,
    Store,
)
from tests.server.timeline.redis.test_nodes_model import Nodes

FIRST, SECOND, THIRD = range(3)

Bug = type[Node] | type[Store]


def seeded(bug: Bug | None) -> type[Nodes]:
    """Return the machine with a bug in it."""

    class Seeded(Nodes):
        pass

    if bug is not None and issubclass(bug, Node):
        Seeded.node = bug
    elif bug is not None:
        Seeded.store = bug
    return Seeded


class DeliversOwnFromTheAnswer(Node):
    def answered(self, answer: Any) -> None:
        if isinstance(answer, Answer):
            for place in answer.places:
                if place.position > self.tops.get(place.room, 0):
                    self.hear(place)
        super().answered(answer)


def others_were_first(nodes: Nodes) -> None:
    nodes.say(SECOND, "tea", keyed=False)
    nodes.say(FIRST, "tea", keyed=False)
    nodes.execute(0, answers=True)
    nodes.execute(0, answers=True)
    nodes.answer(1)


class TellsFromTheAnswer(Node):
    """As soon as it is stored, not when the feed has passed it."""

    def answered(self, answer: Any) -> None:
        if isinstance(answer, Answer):
            answer = answer._replace(entry=NOTHING)
        super().answered(answer)


def the_feed_is_late(nodes: Nodes) -> None:
    nodes.say(FIRST, "tea", keyed=False)
    nodes.execute(0, answers=True)
    nodes.answer(0)


class RetriesWithoutTheNumber(Node):
    def connect(self, engine: Engine, *, waited: bool) -> None:
        self.number += bool(self.flight)
        super().connect(engine, waited=waited)


def an_answer_is_lost(nodes: Nodes) -> None:
    nodes.say(FIRST, "tea", keyed=False)
    nodes.execute(0, answers=False)
    nodes.connect(FIRST, waited=False)
    nodes.execute(0, answers=True)


class HasTwoTurnsInFlight(Node):
    former: tuple[Say, ...] = ()

    def take_turn(self) -> None:
        if not self.former:
            self.former, self.flight = self.flight, ()
            super().take_turn()
            if not self.flight:
                self.former, self.flight = (), self.former

    def answered(self, answer: Any) -> None:
        if isinstance(answer, Answer) and self.former and answer.turn == self.number - 1:
            self.answers.append((self.former, answer))
            self.former = ()
            self.tell()
        else:
            super().answered(answer)


def a_turn_overtakes_another(nodes: Nodes) -> None:
    nodes.say(FIRST, "tea", keyed=False)
    nodes.say(FIRST, "tea", keyed=False)
    nodes.execute(1, answers=True)
    nodes.all_goes_well(FIRST)


class SaysStorageOnATimeOut(Node):
    def connect(self, engine: Engine, *, waited: bool) -> None:
        flight, self.flight = self.flight, ()
        for say in flight:
            self.world.failed(self, say)
        super().connect(engine, waited=waited)


class KeepsNoAnswers(Store):
    def turn(self, node: int, life: int, number: int, says: tuple[Say, ...]) -> tuple[Store, Any]:
        return Store.turn(replace(self, answers={}), node, life, number, says)


class KeepsTheLife(Store):
    def confirm(
        self, run: int, lone: bool, node: Node, waited: bool, now: int
    ) -> tuple[Store, str]:
        return replace(self, run=run), "GOES ON"


def a_copy_lacks_something(nodes: Nodes) -> None:
    nodes.say(FIRST, "tea", keyed=False)
    nodes.all_goes_well(FIRST)
    nodes.a_replica_is_promoted(3, lives_on=False)
    nodes.connect(FIRST, waited=False)


class SendsAgainUnderAnotherId(Node):
    def begin_anew(self, engine: Engine) -> None:
        self.pending = [*self.flight, *self.pending]
        self.flight = ()
        super().begin_anew(engine)


def sends_again(nodes: Nodes) -> None:
    """A turn is stored, but its node was believed dead before it heard so."""
    nodes.say(FIRST, "tea", keyed=False)
    nodes.execute(0, answers=False)
    the_first_is_believed_dead(nodes)
    nodes.all_goes_well(FIRST)


class HearsAfterItsLease(Node):
    def read(self, most: int) -> None:
        self.sure_until = self.world.now
        super().read(most)


def hears_after_its_lease(nodes: Nodes) -> None:
    """One that was believed dead reads on, and an older file is put back of which it knows more."""
    nodes.a_node_comes(0)
    for _ in range(3):
        for node in FIRST, SECOND, THIRD:
            nodes.all_goes_well(node)
    time_passes_for_all_but_the_first(nodes, SECOND, THIRD)
    nodes.say(THIRD, "tea", keyed=False)
    nodes.execute(0, answers=False)
    nodes.read(FIRST, 100)
    nodes.the_engine_restarts_with_an_older_file(1)
    for node in SECOND, THIRD, SECOND:
        nodes.connect(node, waited=False)
    nodes.commands.clear()
    nodes.say(SECOND, "tea", keyed=False)
    nodes.all_goes_well(SECOND)


class StoresBeforeAllKnowIt(Node):
    def take_turn(self) -> None:
        self.known = True
        super().take_turn()


def stores_unknown(nodes: Nodes) -> None:
    """A new one stores, and an older file is put back in which it never came."""
    nodes.a_node_comes(0)
    nodes.say(THIRD, "tea", keyed=False)
    nodes.execute(0, answers=True)
    nodes.read(THIRD, 100)
    nodes.the_engine_restarts_with_an_older_file(2)
    the_others_go_on(nodes)


class SkipsAHole(Node):
    def miss(self, engine: Engine) -> None:
        self.passed(engine.store.feed[-1])


def skips_a_hole(nodes: Nodes) -> None:
    """The feed is trimmed further than a node has read."""
    for _ in range(3):
        nodes.say(FIRST, "tea", keyed=False)
        nodes.all_goes_well(FIRST)
    nodes.the_feed_is_trimmed()
    nodes.the_feed_is_trimmed()
    nodes.all_goes_well(SECOND)


class TakesACopyForTheSame(Store):
    def confirm(
        self, run: int, lone: bool, node: Node, waited: bool, now: int
    ) -> tuple[Store, str]:
        return super().confirm(run, True, node, waited, now)


def takes_a_copy(nodes: Nodes) -> None:
    """Where the copy comes from lives on, and somebody new goes there."""
    nodes.a_replica_is_promoted(0, lives_on=True)
    for node in FIRST, SECOND, FIRST:
        nodes.connect(node, waited=False)
    nodes.a_node_comes(0)
    for _ in range(2):
        nodes.time_passes(1)
        nodes.beat(THIRD)
    nodes.say(THIRD, "tea", keyed=False)
    nodes.execute(0, answers=True)
    nodes.read(THIRD, 100)
    nodes.say(FIRST, "tea", keyed=False)
    nodes.all_goes_well(FIRST)


class AsksNobodyElse(Store):
    def confirm(
        self, run: int, lone: bool, node: Node, waited: bool, now: int
    ) -> tuple[Store, str]:
        node.nodes = frozenset({node.id})
        return super().confirm(run, lone, node, waited, now)


def asks_nobody(nodes: Nodes) -> None:
    """An older file is put back, of which one node knows more than the other."""
    nodes.say(FIRST, "tea", keyed=False)
    nodes.execute(0, answers=True)
    nodes.read(FIRST, 100)
    nodes.the_engine_restarts_with_an_older_file(1)
    nodes.connect(SECOND, waited=False)
    nodes.say(SECOND, "tea", keyed=False)
    nodes.all_goes_well(SECOND)


class HearsBeforeAllKnowIt(Node):
    def read(self, most: int) -> None:
        self.known = True
        super().read(most)


def hears_unknown(nodes: Nodes) -> None:
    """A new one hears something, and an older file is put back in which it never came."""
    nodes.a_node_comes(0)
    nodes.say(FIRST, "tea", keyed=False)
    nodes.execute(0, answers=False)
    nodes.beat(THIRD)
    nodes.read(THIRD, 100)
    nodes.the_engine_restarts_with_an_older_file(3)
    nodes.connect(FIRST, waited=False)
    nodes.connect(SECOND, waited=False)
    nodes.say(SECOND, "tea", keyed=False)
    nodes.all_goes_well(SECOND)


class KnowsNobodyAtFirst(Node):
    def begin(self, engine: Engine) -> None:
        super().begin(engine)
        self.nodes = frozenset({self.id})


def a_new_one_answers_alone(nodes: Nodes) -> None:
    """A new one is the first to ask after an older file was put back."""
    nodes.a_node_comes(0)
    nodes.say(FIRST, "tea", keyed=False)
    nodes.execute(0, answers=True)
    nodes.read(FIRST, 100)
    nodes.the_engine_restarts_with_an_older_file(1)
    nodes.connect(THIRD, waited=False)
    nodes.all_goes_well(SECOND)
    nodes.say(SECOND, "tea", keyed=False)
    nodes.all_goes_well(SECOND)


class ForgetsWhatItWasAnswered(Node):
    def answered(self, answer: Any) -> None:
        last = self.last
        super().answered(answer)
        self.last = last


def an_answer_is_lost_after_all(nodes: Nodes) -> None:
    """An older file is put back that lacks what a node was answered, and nobody has heard."""
    nodes.say(FIRST, "tea", keyed=False)
    nodes.execute(0, answers=True)
    nodes.answer(0)
    nodes.the_engine_restarts_with_an_older_file(1)
    the_others_go_on(nodes)


class AsksThoseOfOtherLives(Store):
    def confirm(
        self, run: int, lone: bool, node: Node, waited: bool, now: int
    ) -> tuple[Store, str]:
        life, epoch, node.life, node.epoch = node.life, node.epoch, self.life, self.epoch
        settled = super().confirm(run, lone, node, waited, now)
        node.life, node.epoch = life, epoch
        return settled


def one_comes_from_a_former_life(nodes: Nodes) -> None:
    """It has missed a whole life, of which an older file is put back."""
    for _ in range(LEASE):
        nodes.time_passes(QUIET)
        nodes.beat(FIRST)
    nodes.a_replica_is_promoted(0, lives_on=True)
    for _ in range(3):
        nodes.all_goes_well(SECOND)
    nodes.say(SECOND, "tea", keyed=False)
    nodes.all_goes_well(SECOND)
    after_its_beginning = len(nodes.engines[-1].states) - 2
    nodes.the_engine_restarts_with_an_older_file(after_its_beginning)
    for _ in range(3):
        nodes.all_goes_well(FIRST)
    nodes.say(FIRST, "tea", keyed=False)
    nodes.all_goes_well(FIRST)


class StoresForTheDead(Store):
    def turn(self, node: int, life: int, number: int, says: tuple[Say, ...]) -> tuple[Store, Any]:
        lease = Lease(0, (0, 0), (0, 0))
        store, answer = Store.turn(
            replace(self, leases={node: lease, **self.leases}), node, life, number, says
        )
        return replace(store, leases=self.leases), answer


def stores_for_the_dead(nodes: Nodes) -> None:
    """A node pauses with a turn under way."""
    nodes.say(FIRST, "tea", keyed=False)
    the_first_is_believed_dead(nodes)
    nodes.execute(0, answers=True)


class EndsLeasesWhileNobodyBeats(Store):
    def _without_ended(self, now: int, node: int) -> Store:
        return Store._without_ended(replace(self, beaten=now), now, node)


def nobody_beats(nodes: Nodes) -> None:
    """The engine hangs for longer than a lease, and no node may be believed dead for that."""
    before = [node.id for node in nodes.nodes]
    nodes.time_passes(LEASE + 1)
    for node in FIRST, SECOND:
        nodes.beat(node)
    assert [node.id for node in nodes.nodes] == before


class JoinsBeforeItIsSettled(Store):
    def register(self, node: int, run: int, now: int) -> tuple[Store, Any]:
        return Store.register(replace(self, run=run), node, run, now)


def joins_unsettled(nodes: Nodes) -> None:
    """One that missed a life joins an older file of it, before others have compared that."""
    nodes.a_node_comes(0)
    one_comes_from_a_former_life(nodes)


def the_first_is_believed_dead(nodes: Nodes) -> None:
    time_passes_for_all_but_the_first(nodes, SECOND)


def time_passes_for_all_but_the_first(nodes: Nodes, *others: int) -> None:
    for _ in range(LEASE):
        nodes.time_passes(QUIET)
        for node in others:
            nodes.beat(node)


def the_others_go_on(nodes: Nodes) -> None:
    for node in FIRST, SECOND, FIRST:
        nodes.connect(node, waited=False)
    nodes.say(SECOND, "tea", keyed=False)
    nodes.all_goes_well(SECOND)


STORIES = [
    (DeliversOwnFromTheAnswer, others_were_first),
    (TellsFromTheAnswer, the_feed_is_late),
    (RetriesWithoutTheNumber, an_answer_is_lost),
    (HasTwoTurnsInFlight, a_turn_overtakes_another),
    (SaysStorageOnATimeOut, an_answer_is_lost),
    (KeepsNoAnswers, an_answer_is_lost),
    (KeepsTheLife, a_copy_lacks_something),
    (SendsAgainUnderAnotherId, sends_again),
    (HearsAfterItsLease, hears_after_its_lease),
    (StoresBeforeAllKnowIt, stores_unknown),
    (SkipsAHole, skips_a_hole),
    (TakesACopyForTheSame, takes_a_copy),
    (AsksNobodyElse, asks_nobody),
    (HearsBeforeAllKnowIt, hears_unknown),
    (KnowsNobodyAtFirst, a_new_one_answers_alone),
    (ForgetsWhatItWasAnswered, an_answer_is_lost_after_all),
    (AsksThoseOfOtherLives, one_comes_from_a_former_life),
    (StoresForTheDead, stores_for_the_dead),
    (EndsLeasesWhileNobodyBeats, nobody_beats),
    (JoinsBeforeItIsSettled, joins_unsettled),
]


def tell(story: Callable[[Nodes], None], bug: Bug | None) -> None:
    """Run a story; then all goes well, and what must hold is checked before and after."""
    nodes = seeded(bug)()
    nodes.begin()
    story(nodes)
    nodes.check()
    nodes.teardown()
    nodes.check()


@pytest.mark.parametrize(("bug", "story"), STORIES)
def test_a_bug_with_a_story_is_found(bug: Bug, story: Callable[[Nodes], None]) -> None:
    with pytest.raises(AssertionError):
        tell(story, bug)


@pytest.mark.parametrize("story", [story for _, story in STORIES])
def test_the_story_ends_well_without_the_bug(story: Callable[[Nodes], None]) -> None:
    tell(story, None)
