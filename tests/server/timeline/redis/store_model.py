"""What an engine holds for several nodes, and its scripts, as a model: see nodes_model.py.

Each method of `Store` is a script: it is atomic, and returns the next store and an answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from tests.server.timeline.redis.nodes_model import Node

LEASE = 5
"""Seconds for which a node is alive after a beat, by the engine's clock."""
QUIET = 2
"""If nobody has beaten for longer, that time counts for no lease: the engine was away."""

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
    """The feed's last entry at the beat before its last, whose answer it has had."""


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
    beaten: int = 0
    """When anybody last beat."""
    ended: frozenset[int] = frozenset()
    """Nodes whose lease has ended in this life; only the checks read it."""
    shown: Mapping[tuple[int, int], frozenset[int]] = field(default_factory=dict)
    """By run and node that finds its last entry here: the nodes that it knows."""

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

    def register(self, node: int, run: int, now: int) -> tuple["Store", Any]:
        """Give a node its lease; answer where it begins in feed and rooms, and who lives.

        One whose life has ended comes under its former id. It waits until others have settled
        whether the life goes on; if none is there it begins one.
        """
        settled = self.epoch != 0 and run == self.run
        store = self._without_ended(now, node)
        others = store.leases.keys() - {node}
        if others and not settled:
            return store, "WAIT"
        if not others and not settled:
            store = store._begun(run)
        elif not others and node not in store.leases:
            store = replace(store, answers={})
        store = store._tell(node, 0)
        came = store.feed[-1]
        leases = {**store.leases, node: Lease(now + LEASE, came.id, came.id)}
        tops = {room: len(texts) for room, texts in store.rooms.items()}
        store = replace(store, leases=leases, ended=store.ended - {node})
        return store, (came, store.epoch, tops, frozenset(leases))

    def beat(self, node: int, life: int, last: tuple[int, int], now: int) -> tuple["Store", Any]:
        """Renew a lease, end those of others; answer who lives, and whether all know this node.

        Until they do it neither stores nor hears: see `confirm`. `last`: what the beat before was
        answered.
        """
        if life != self.life or node not in self.leases:
            return self, "FENCED"
        store = self._without_ended(now, node)._tell(node, 0)
        lease = store.leases[node]._replace(end=now + LEASE, heard=last)
        store = replace(store, leases={**store.leases, node: lease})
        known = all(other.heard >= lease.came for other in store.leases.values())
        return store, (store.feed[-1], frozenset(store.leases), known)

    def leave(self, node: int) -> tuple["Store", None]:
        """End the lease of a node that ends."""
        leases = {each: lease for each, lease in self.leases.items() if each != node}
        return replace(self, leases=leases, ended=self.ended | {node}), None

    def confirm(
        self, run: int, lone: bool, node: "Node", waited: bool, now: int
    ) -> tuple["Store", str]:
        """Settle whether a life goes on, perhaps in another process.

        It does if every node that may have seen something finds all of it here: those that ask,
        and all that they know of. A copy that was promoted is a new life in any case: where it
        comes from may live on, with nodes that nobody here knows.
        """
        if (self.life, self.epoch) != (node.life, node.epoch):
            return self, "ENDED"
        leased = node.id in self.leases
        if run == self.run and not leased:
            return self, "FENCED"
        here = node.last in self.feed
        if run == self.run and here:
            return self, "GOES ON"
        if here and run != self.run and lone:
            leases = dict(self.leases)
            if leased:  # it waits, and does not beat
                leases[node.id] = leases[node.id]._replace(end=now + LEASE)
            shown = {**self.shown, (run, node.id): node.nodes}
            ready = {each: nodes for (where, each), nodes in shown.items() if where == run}
            if frozenset().union(*ready.values()) <= ready.keys():
                for each in leases.keys() & ready.keys():
                    leases[each] = leases[each]._replace(end=now + LEASE)
                store = replace(self, run=run, leases=leases, shown={}, beaten=now)
                return store, "GOES ON" if leased else "FENCED"
            if not waited:
                return replace(self, shown=shown, leases=leases), "WAIT"
        return self._begun(run), "ENDED"

    def end(self, node: int, life: int, run: int, now: int) -> tuple["Store", bool]:
        """End a life, of which a node has missed something, unless others go on in it."""
        if life != self.life:
            return self, True
        store = self._without_ended(now, node)
        if store.leases.keys() - {node}:
            return store, False
        return store._begun(run), True

    def flush(self) -> tuple["Store", None]:
        """Delete everything."""
        return Store(self.run, epoch=0, life=0, feed=(Entry(0, 0, 0, 0),)), None

    def trim(self) -> tuple["Store", None]:
        """Drop the older half of the feed."""
        return replace(self, feed=self.feed[len(self.feed) // 2 :]), None

    def _tell(self, node: int, turn: int, posts: tuple[Place, ...] = ()) -> "Store":
        entry = Entry(self.life, self.feed[-1].n + 1, node, turn, posts)
        return replace(self, feed=(*self.feed, entry))

    def _begun(self, run: int) -> "Store":
        """Begin a life, in which nobody has a lease; whoever joins it first is told of nothing."""
        life = next(fresh)  # by the clock, so that two sides never begin the same one
        feed = (*self.feed, Entry(life, 0, 0, 0))
        begun = replace(self, run=run, epoch=next(fresh), life=life, feed=feed)
        return replace(begun, answers={}, leases={}, shown={}, ended=frozenset())

    def _without_ended(self, now: int, node: int) -> "Store":
        """End the leases of others that have run out."""
        gap = now - self.beaten if now - self.beaten > QUIET else 0
        leases = {each: lease._replace(end=lease.end + gap) for each, lease in self.leases.items()}
        lives = {each: lease for each, lease in leases.items() if lease.end > now or each == node}
        ended = self.ended | (leases.keys() - lives.keys())
        return replace(self, leases=lives, ended=ended, beaten=now)


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
