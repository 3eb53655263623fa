"""Nodes on one engine, as a model: what the scripts do, and what a node may conclude from it.

The specification of turns, lives and leases. `Store` is what an engine holds, and its methods are
the scripts: see store_model.py. `Node` is one process of geventchat. What can go wrong between them
is in test_nodes_model.py, which runs them. Topics and changes of posts are left out: they are
entries of the same turns, and nothing else holds for them.
"""

from collections.abc import Iterator
from typing import Any, Protocol

from tests.server.timeline.redis.store_model import LEASE, Answer, Engine, Entry, Place, Say, fresh


class World(Protocol):
    """What a node sees of the rest: the clock, its clients, and a way to the engine."""

    now: int

    def send(self, node: "Node", number: int, says: tuple[Say, ...]) -> None:
        """Send a turn to the node's engine, which may get it late, or never."""

    def hear(self, node: "Node", place: Place) -> None:
        """Show a post to all clients of a node."""

    def told(self, node: "Node", say: Say, place: Place | None) -> None:
        """Tell an author the verdict; None: it is not known whether it was stored."""

    def failed(self, node: "Node", say: Say) -> None:
        """Tell an author that it was not stored."""


class Node:
    """One process of geventchat, as far as storing and hearing goes."""

    def __init__(self, world: World, engine: Engine) -> None:
        self.world = world
        self.pending: list[Say] = []
        self.number = 0
        """Of the last turn."""
        self.begin(engine)

    def begin(self, engine: Engine) -> None:
        """Begin as another process, under an id that never was."""
        self.id = next(fresh)
        answer = engine.do("register", self.id, engine.run, self.world.now)
        assert answer != "WAIT"  # it would not have begun
        self.take_part(engine, answer)

    def take_part(self, engine: Engine, answer: Any) -> None:
        """Begin in a life."""
        self.engine: Engine | None = engine
        self.line = next(fresh)
        self.last, self.epoch, tops, self.nodes = answer
        """`last`: the newest entry that it knows to be there, heard or not."""
        self.life = self.last.life
        self.beaten = self.last.id
        """The feed's last at the last beat."""
        self.cursor = self.last.id
        self.tops = dict(tops)
        self.known = False
        """Whether all nodes know this one; until then it neither stores nor hears anything."""
        self.sure_until = self.world.now + LEASE
        """By its own clock, and from when it asked: after that others may believe it dead."""
        self.flight: tuple[Say, ...] = ()
        """The turn that has no answer yet: one at a time, or authors' texts could change places."""
        self.answers: list[tuple[tuple[Say, ...], Answer]] = []
        """Answers that wait for the feed."""

    def begin_anew(self, engine: Engine) -> None:
        """End, and begin as another process; clients come back and see a gap."""
        doubtful = self.doubtful
        self.begin(engine)
        self.drop(doubtful)

    def join(self, engine: Engine) -> None:
        """Join the life that has begun, or begin it; what is in doubt is not sent again."""
        answer = engine.do("register", self.id, engine.run, self.world.now)
        if answer == "WAIT":
            self.engine = None
            return
        doubtful = self.doubtful
        self.take_part(engine, answer)
        self.drop(doubtful)

    @property
    def doubtful(self) -> list[Say]:
        return [*(say for says, _ in self.answers for say in says), *self.flight]

    def drop(self, doubtful: list[Say]) -> None:
        """Tell authors that it is not known what became of what they said."""
        for say in doubtful:
            self.world.told(self, say, None)

    def take_turn(self) -> None:
        """Send what is pending, unless a turn is in flight."""
        if self.engine is not None and self.known and self.pending and not self.flight:
            self.flight, self.pending = tuple(self.pending), []
            self.number += 1
            self.world.send(self, self.number, self.flight)

    def connect(self, engine: Engine, *, waited: bool) -> None:
        """Connect again, after an error or a time-out, and ask for the turn in flight again."""
        self.engine, self.line = None, next(fresh)
        self.sure_until = -1  # it beats before it hears
        lone = not engine.promoted
        answer = engine.do("confirm", engine.run, lone, self, waited, self.world.now)
        if answer == "ENDED":
            self.join(engine)
        elif answer == "FENCED":
            self.begin_anew(engine)
        elif answer == "GOES ON":
            self.engine = engine
            if self.flight:
                self.world.send(self, self.number, self.flight)

    def answered(self, answer: Any) -> None:
        """Take the answer to the turn in flight."""
        if answer == "FENCED":
            self.engine = None
        elif self.flight and answer.turn == self.number:
            self.answers.append((self.flight, answer))
            self.flight = ()
            self.last = max(self.last, answer.entry)
            self.tell()

    def beat(self) -> None:
        """Show that this node lives, and learn who else does."""
        if self.engine is None:
            return
        answer = self.engine.do("beat", self.id, self.life, self.beaten, self.world.now)
        if answer == "FENCED":
            self.connect(self.engine, waited=False)
        else:
            self.last, self.nodes, self.known = answer
            self.beaten = self.last.id
            self.sure_until = self.world.now + LEASE

    def read(self, most: int) -> None:
        """Hear what is new: posts only from the feed, one's own too, so all hear one order."""
        if self.engine is None or not self.known or self.world.now > self.sure_until:
            return
        self.engine.seen = len(self.engine.states) - 1
        new = [entry for entry in self.engine.store.feed if entry.id > self.cursor][:most]
        if new and new[0].life != self.life:
            self.connect(self.engine, waited=False)
        elif new and new[0].n != self.cursor[1] + 1:
            self.miss(self.engine)
        else:
            for entry in new:
                if entry.life == self.life:
                    for place in entry.posts:
                        self.hear(place)
                    self.passed(entry)

    def miss(self, engine: Engine) -> None:
        """Go on after something in the feed was missed: it may have been only there.

        The others go on without this one, and its clients come back to them; alone it begins a
        life, in which everybody is told of a gap.
        """
        if engine.do("end", self.id, self.life, engine.run, self.world.now):
            self.join(engine)
        else:
            engine.do("leave", self.id)
            self.begin_anew(engine)

    def hear(self, place: Place) -> None:
        self.tops[place.room] = place.position
        self.world.hear(self, place)

    def passed(self, entry: Entry) -> None:
        """Note how far the feed is heard: what is below is seen, and its verdicts can be told."""
        self.cursor = entry.id
        self.last = max(self.last, entry)
        if entry.turn == 0:
            self.nodes |= {entry.node}
        self.tell()

    def tell(self) -> None:
        """Tell the verdicts of turns that the feed has passed."""
        while self.answers and self.answers[0][1].entry.id <= self.cursor:
            says, answer = self.answers.pop(0)
            for say, place in zip(says, answer.places, strict=True):
                self.world.told(self, say, place)

    def give_up(self) -> None:
        """Tell authors that have waited for too long: only what was never sent has failed."""
        flight, self.flight = self.flight, ()
        pending, self.pending = self.pending, []
        for say in flight:
            self.world.told(self, say, None)
        for say in pending:
            self.world.failed(self, say)


def waiting(nodes: list[Node]) -> Iterator[Say]:
    """Return the submissions that have no verdict yet."""
    for node in nodes:
        yield from (*node.pending, *node.flight)
        for says, _ in node.answers:
            yield from says
