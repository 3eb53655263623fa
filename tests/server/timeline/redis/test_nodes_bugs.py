"""Bugs of nodes, and the story in which the model finds each: see stories.py."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.server.timeline.redis.nodes_model import Node
from tests.server.timeline.redis.store_model import (
    NOTHING,
    Answer,
    Engine,
    Lease,
    Say,
    Store,
)
from tests.server.timeline.redis.stories import (
    a_copy_lacks_something,
    a_new_one_answers_alone,
    a_turn_overtakes_another,
    an_answer_is_lost,
    an_answer_is_lost_after_all,
    asks_nobody,
    hears_after_its_lease,
    hears_unknown,
    joins_unsettled,
    nobody_beats,
    one_comes_from_a_former_life,
    others_were_first,
    sends_again,
    skips_a_hole,
    stores_for_the_dead,
    stores_unknown,
    takes_a_copy,
    the_feed_is_late,
)
from tests.server.timeline.redis.test_nodes_model import Nodes

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


class TellsFromTheAnswer(Node):
    """As soon as it is stored, not when the feed has passed it."""

    def answered(self, answer: Any) -> None:
        if isinstance(answer, Answer):
            answer = answer._replace(entry=NOTHING)
        super().answered(answer)


class RetriesWithoutTheNumber(Node):
    def connect(self, engine: Engine, *, waited: bool) -> None:
        self.number += bool(self.flight)
        super().connect(engine, waited=waited)


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


class SendsAgainUnderAnotherId(Node):
    def begin_anew(self, engine: Engine) -> None:
        self.pending = [*self.flight, *self.pending]
        self.flight = ()
        super().begin_anew(engine)


class HearsAfterItsLease(Node):
    def read(self, most: int) -> None:
        self.sure_until = self.world.now
        super().read(most)


class StoresBeforeAllKnowIt(Node):
    def take_turn(self) -> None:
        self.known = True
        super().take_turn()


class SkipsAHole(Node):
    def miss(self, engine: Engine) -> None:
        self.passed(engine.store.feed[-1])


class TakesACopyForTheSame(Store):
    def confirm(
        self, run: int, lone: bool, node: Node, waited: bool, now: int
    ) -> tuple[Store, str]:
        return super().confirm(run, True, node, waited, now)


class AsksNobodyElse(Store):
    def confirm(
        self, run: int, lone: bool, node: Node, waited: bool, now: int
    ) -> tuple[Store, str]:
        node.nodes = frozenset({node.id})
        return super().confirm(run, lone, node, waited, now)


class HearsBeforeAllKnowIt(Node):
    def read(self, most: int) -> None:
        self.known = True
        super().read(most)


class KnowsNobodyAtFirst(Node):
    def begin(self, engine: Engine) -> None:
        super().begin(engine)
        self.nodes = frozenset({self.id})


class ForgetsWhatItWasAnswered(Node):
    def answered(self, answer: Any) -> None:
        last = self.last
        super().answered(answer)
        self.last = last


class AsksThoseOfOtherLives(Store):
    def confirm(
        self, run: int, lone: bool, node: Node, waited: bool, now: int
    ) -> tuple[Store, str]:
        life, epoch, node.life, node.epoch = node.life, node.epoch, self.life, self.epoch
        settled = super().confirm(run, lone, node, waited, now)
        node.life, node.epoch = life, epoch
        return settled


class StoresForTheDead(Store):
    def turn(self, node: int, life: int, number: int, says: tuple[Say, ...]) -> tuple[Store, Any]:
        lease = Lease(0, (0, 0), (0, 0))
        store, answer = Store.turn(
            replace(self, leases={node: lease, **self.leases}), node, life, number, says
        )
        return replace(store, leases=self.leases), answer


class EndsLeasesWhileNobodyBeats(Store):
    def _without_ended(self, now: int, node: int) -> Store:
        return Store._without_ended(replace(self, beaten=now), now, node)


class JoinsBeforeItIsSettled(Store):
    def register(self, node: int, run: int, now: int) -> tuple[Store, Any]:
        return Store.register(replace(self, run=run), node, run, now)


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
