"""Nodes on one engine, as a model: what the scripts do, and what a node may conclude from it.

The specification of turns, lives and leases. `Store` is what an engine holds, and its methods are
the scripts: each is atomic, and returns the next store and an answer. `Node` is one process of
geventchat. What can go wrong between them is in test_nodes_model.py, which runs them. Topics and
changes of posts are left out: they are entries of the same turns, and nothing else holds for them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, NamedTuple, Protocol

LEASE = 5
"""Seconds for which a node is alive after a beat, by the engine's clock."""

fresh = count(1)
"""Draws what never repeats: epochs, ids of nodes, runs of engines, connections."""


class Say(NamedTuple):
    """A submission; each has another text, so a text stored twice is a submission stored twice."""

    room: str
    text: str
    keyed: bool
    """Whether its client sends it again if it does not know what became of it."""


class Place(NamedTuple):
    """Where a text is, or was said to be."""

    epoch: int
    room: str
    position: int
    text: str


class Entry(NamedTuple):
    """One entry of the feed: what a turn stored, or that a node came, or a beat."""

    life: int
    n: int
    """Dense within a life, so a hole shows."""
    node: int
    turn: int
    posts: tuple[Place, ...] = ()

    @property
    def id(self) -> tuple[int, int]:
        return self.life, self.n


class Lease(NamedTuple):
    """That a node is alive."""

    end: int
    came: tuple[int, int]
    """The entry that tells of the node."""
    heard: tuple[int, int]
    """The newest entry that the node had heard of when it last beat."""


class Answer(NamedTuple):
    """What a turn is answered, kept so that the same turn is answered the same."""

    turn: int
    entry: Entry
    """The feed's last: the verdicts are told when the feed has passed it."""
    places: tuple[Place, ...]


NOTHING = Entry(0, 0, 0, 0)


@dataclass(frozen=True)
class Store:
    """What an engine holds."""

    run: int
    """The process in which this life is known to go on; another one has to be settled first."""
    epoch: int = field(default_factory=lambda: next(fresh))
    life: int = 1
    rooms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    feed: tuple[Entry, ...] = (Entry(1, 0, 0, 0),)
    answers: Mapping[int, Answer] = field(default_factory=dict)
    leases: Mapping[int, Lease] = field(default_factory=dict)
    ended: frozenset[int] = frozenset()
    """Nodes whose lease has ended; only the checks read it."""
    shown: Mapping[tuple[int, int], tuple[bool, frozenset[int]]] = field(default_factory=dict)
    """By run and node: whether its last entry is here, and the nodes that it knows."""

    def turn(self, node: int, life: int, number: int, says: tuple[Say, ...]) -> tuple["Store", Any]:
        """Store what was submitted, once, however often the same turn is asked for."""
        if life != self.life or node not in self.leases:
            return self, "FENCED"
        former = self.answers.get(node, Answer(0, NOTHING, ()))
        if number <= former.turn:  # an older one is a copy that was late: its answer was heard
            return self, former
        rooms, new, places = dict(self.rooms), [], []
        for say in says:
            texts = rooms.get(say.room, ())
            if say.keyed and say.text in texts:
                place = Place(self.epoch, say.room, texts.index(say.text) + 1, say.text)
            else:
                rooms[say.room] = (*texts, say.text)
                new.append(place := Place(self.epoch, say.room, len(texts) + 1, say.text))
            places.append(place)
        store = self._tell(node, number, tuple(new)) if new else self
        answer = Answer(number, store.feed[-1], tuple(places))
        return replace(store, rooms=rooms, answers={**self.answers, node: answer}), answer

    def register(self, node: int, now: int) -> tuple["Store", Any]:
        """Give a new node its lease; answer where it begins in feed and rooms, and who lives."""
        store = self._without_ended(now)._tell(node, 0)
        came = store.feed[-1]
        leases = {**store.leases, node: Lease(now + LEASE, came.id, came.id)}
        tops = {room: len(texts) for room, texts in self.rooms.items()}
        return replace(store, leases=leases), (came, tops, frozenset(leases))

    def beat(self, node: int, heard: tuple[int, int], now: int) -> tuple["Store", Any]:
        """Renew a lease, end those of others; answer who lives, and whether all know this node.

        Until they do it neither stores nor hears: see `recover`.
        """
        store = self._without_ended(now)
        if node not in store.leases:
            return store, "FENCED"
        store = store._tell(node, 0)
        lease = store.leases[node]._replace(end=now + LEASE, heard=heard)
        store = replace(store, leases={**store.leases, node: lease})
        known = all(other.heard >= lease.came for other in store.leases.values())
        return store, (store.feed[-1], frozenset(store.leases), known)

    def recover(self, run: int, lone: bool, node: "Node", waited: bool) -> tuple["Store", bool]:
        """Settle how it goes on in another process; answer whether it is settled.

        The same life, if every node that may have seen something finds all of it here: those that
        ask, and all that they know of. A copy that was promoted is a new life in any case: where it
        comes from may live on, with nodes that nobody here knows.
        """
        if run == self.run:
            return self, True
        shown = dict(self.shown)
        if node.life == self.life:
            shown[run, node.id] = node.last in self.feed, node.nodes
        here = {each: answer for (where, each), answer in shown.items() if where == run}
        known = frozenset().union(*(nodes for _, nodes in here.values()))
        if lone and known and all(here.get(each, (False,))[0] for each in known):
            return replace(self, run=run), True
        if waited or not lone:
            life = next(fresh)  # by the clock, so that two sides never begin the same one
            feed = (*self.feed, Entry(life, 0, 0, 0))
            begun = replace(self, run=run, epoch=next(fresh), life=life, feed=feed)
            return replace(begun, answers={}, leases={}, shown={}), True
        return replace(self, shown=shown), False

    def trim(self) -> tuple["Store", None]:
        """Drop the older half of the feed."""
        return replace(self, feed=self.feed[len(self.feed) // 2 :]), None

    def _tell(self, node: int, turn: int, posts: tuple[Place, ...] = ()) -> "Store":
        entry = Entry(self.life, self.feed[-1].n + 1, node, turn, posts)
        return replace(self, feed=(*self.feed, entry))

    def _without_ended(self, now: int) -> "Store":
        lives = {node: lease for node, lease in self.leases.items() if lease.end >= now}
        return replace(self, leases=lives, ended=self.ended | (self.leases.keys() - lives.keys()))


class Engine:
    """A process that runs the scripts. A command may be kept on disk, or in a copy, or neither."""

    def __init__(self, store: Store, *, run: int, promoted: bool = False) -> None:
        self.run = run
        self.promoted = promoted
        self.states = [store]
        self.seen = 0
        """The newest state that somebody outside knows of; it is on this engine's disk."""

    @property
    def store(self) -> Store:
        return self.states[-1]

    def do(self, script: str, *arguments: object) -> Any:
        """Run a script of the store; its answer is seen."""
        answer = self.execute(script, *arguments)
        self.seen = len(self.states) - 1
        return answer

    def execute(self, script: str, *arguments: object) -> Any:
        """Run a script whose answer nobody may ever see."""
        store, answer = getattr(self.store, script)(*arguments)
        self.states.append(store)
        return answer


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
        """Begin, or begin anew under another id; what is in doubt is not sent again."""
        self.id = next(fresh)
        self.engine: Engine | None = engine
        self.line = next(fresh)
        self.epoch, self.life = engine.store.epoch, engine.store.life
        self.last, tops, self.nodes = engine.do("register", self.id, self.world.now)
        """The newest entry that it knows to be there, heard or not."""
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
        """Begin anew after the life or the lease has ended; clients come back and see a gap."""
        doubtful = [*(say for says, _ in self.answers for say in says), *self.flight]
        self.begin(engine)
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
        if not engine.do("recover", engine.run, not engine.promoted, self, waited):
            return
        if engine.store.life != self.life or self.id not in engine.store.leases:
            self.begin_anew(engine)
            return
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
        answer = self.engine.do("beat", self.id, self.last.id, self.world.now)
        if answer == "FENCED":
            self.begin_anew(self.engine)
        else:
            self.last, self.nodes, self.known = answer
            self.sure_until = self.world.now + LEASE

    def read(self, most: int) -> None:
        """Hear what is new: posts only from the feed, one's own too, so all hear one order."""
        if self.engine is None or not self.known or self.world.now > self.sure_until:
            return
        self.engine.seen = len(self.engine.states) - 1
        new = [entry for entry in self.engine.store.feed if entry.id > self.cursor][:most]
        if new and new[0].id != (self.life, self.cursor[1] + 1):
            self.fill(self.engine.store)
            return
        for entry in new:
            for place in entry.posts:
                self.hear(place)
            self.passed(entry)

    def fill(self, store: Store) -> None:
        """Hear from the record what the feed has no more; the record and the feed's end as one."""
        for room, texts in store.rooms.items():
            for position in range(self.tops.get(room, 0) + 1, len(texts) + 1):
                self.hear(Place(self.epoch, room, position, texts[position - 1]))
        self.passed(store.feed[-1])

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
