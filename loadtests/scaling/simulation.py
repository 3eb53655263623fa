"""Nodes and their engine, simulated event by event with measured costs.

The engine works as Redis does: it takes every command that has arrived, one after the other, then
waits for the disk once if any of them wrote, and then answers all of them, the nodes that wait for
the feed included. A node has one turn in flight, which takes all that was said meanwhile, and one
question for what is new in the feed. So batches grow where time is short, here as there.
"""

import heapq
import random
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Final, NamedTuple, TypeAlias

from loadtests.scaling.costs import Costs

TURN_MESSAGES: Final = 512
READ_ENTRIES: Final = 200
BEAT_SECONDS: Final = 1.0
_WARM_SECONDS: Final = 0.5
"""Not measured: until batches have found their size."""


_Command: TypeAlias = Callable[[], tuple[float, Callable[[], None] | None, bool]]
"""Run by the engine, it gives what that costs, the answer if it has one yet, and if it wrote."""


class Result(NamedTuple):
    """What a simulated second came to."""

    nodes: int
    rate: float
    """Messages a second, of all nodes together."""
    engine: float
    """The share of a core that the engine used."""
    turns: float
    """Turns a second,"""
    answers: float
    """and answers to nodes that wait for the feed."""
    megabytes: float
    """Megabytes a second from the engine to the nodes."""
    p50_ms: float
    """From a message's arrival at its node until the node that is last has heard it,"""
    p99_ms: float
    arrived: float
    """and the share of messages for which that happened before the end."""


@dataclass
class _Entry:
    """An entry of the feed."""

    arrivals: list[float]
    """When its messages arrived at their node; none: a beat."""
    missing: int
    """How many nodes have not heard it."""


@dataclass
class _Node:
    number: int
    waiting: list[float] = field(default_factory=list)
    """When the messages arrived that are in no turn yet."""
    in_flight: bool = False
    cursor: int = 0
    """The entry of the feed that it hears next."""
    busy_until: float = 0.0


class Simulation:
    """Some nodes with a load. `run` simulates it once; the same seed gives the same result."""

    def __init__(self, nodes: int, rate: float, costs: Costs | None = None, seed: int = 1) -> None:
        """`rate`: messages a second, of all nodes together."""
        self._costs = costs or Costs()
        self._rate = rate
        self._random = random.Random(seed)
        self._nodes = [_Node(number) for number in range(nodes)]
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._now = 0.0
        self._commands: list[_Command] = []
        """What has arrived at the engine."""
        self._busy = False
        self._feed: list[_Entry] = []
        self._blocked: list[_Node] = []
        self._used = 0.0
        self._turns = self._answers = 0
        self._bytes = 0
        self._said = 0
        self._late: list[float] = []

    def run(self, seconds: float = 2.0) -> Result:
        """Simulate some seconds after those in which it gets going."""
        self._until = _WARM_SECONDS + seconds
        for node in self._nodes:
            self._at(self._random.random() * BEAT_SECONDS, partial(self._beat, node))
            self._at(self._costs.network / 1e6, partial(self._ask, node))
        if self._rate:
            self._at(self._random.expovariate(self._rate), self._say)
        while self._events and self._events[0][0] < self._until:
            self._now, _, act = heapq.heappop(self._events)
            act()
        late = sorted(self._late)
        hundredths = statistics.quantiles(late, n=100) if len(late) > 1 else [0.0] * 99
        return Result(
            len(self._nodes), self._rate, self._used / seconds, self._turns / seconds,
            self._answers / seconds, self._bytes / seconds / 1e6, hundredths[49] * 1e3,
            hundredths[98] * 1e3, len(late) / self._said if self._said else 1.0,
        )  # fmt: skip

    def _at(self, time: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._events, (time, next(self._order), act))

    @property
    def _measured(self) -> bool:
        return self._now >= _WARM_SECONDS

    # Nodes

    def _say(self) -> None:
        """Let a message arrive at some node, and the next one follow."""
        node = self._random.choice(self._nodes)
        node.waiting.append(self._now)
        # The last tenth of a second is for the messages before it to arrive.
        self._said += self._measured and self._now < self._until - 0.1
        self._submit(node)
        self._at(self._now + self._random.expovariate(self._rate), self._say)

    def _submit(self, node: _Node) -> None:
        if not node.in_flight and node.waiting:
            node.in_flight = True
            taken, node.waiting = node.waiting[:TURN_MESSAGES], node.waiting[TURN_MESSAGES:]
            self._work_for(node, self._costs.submit + len(taken) * self._costs.say)
            self._send(partial(self._take_turn, node, taken), node.busy_until)

    def _answered(self, node: _Node) -> None:
        node.in_flight = False
        self._submit(node)

    def _ask(self, node: _Node) -> None:
        self._send(lambda: self._read(node))

    def _beat(self, node: _Node) -> None:
        self._send(lambda: (self._costs.beat, None, True))
        self._at(self._now + BEAT_SECONDS, lambda: self._beat(node))

    def _hear(self, node: _Node, first: int, end: int) -> None:
        """Let a node hear some entries, and ask for the next when it is done with them."""
        heard = sum(len(self._feed[place].arrivals) for place in range(first, end))
        self._work_for(node, heard * self._costs.hear)
        for place in range(first, end):
            entry = self._feed[place]
            entry.missing -= 1
            if not entry.missing:
                for arrived in entry.arrivals:
                    if _WARM_SECONDS <= arrived < self._until - 0.1:
                        self._late.append(node.busy_until - arrived)
                entry.arrivals = [0.0] * len(entry.arrivals)
        self._at(node.busy_until, lambda: self._ask(node))

    def _work_for(self, node: _Node, cost: float) -> None:
        """Let a node work, behind what it has to do already."""
        node.busy_until = max(self._now, node.busy_until) + cost / 1e6

    # The engine

    def _send(self, command: _Command, time: float | None = None) -> None:
        """Let a command arrive that is sent at a time, or now."""
        sent = self._now if time is None else time
        self._at(sent + self._costs.network / 1e6, partial(self._receive, command))

    def _receive(self, command: _Command) -> None:
        self._commands.append(command)
        if not self._busy:
            self._work()

    def _work(self) -> None:
        """Take all commands that are there, as one round of the engine's loop."""
        commands, self._commands = self._commands, []
        self._busy = bool(commands)
        if not commands:
            return
        used, answers, wrote = 0.0, [], False
        for command in commands:
            cost, answer, writes = command()
            used += cost
            wrote = wrote or writes
            if answer is not None:
                answers.append(answer)
        blocked, self._blocked = self._blocked, []
        for node in blocked:
            cost, answer, _ = self._read(node)
            used += cost
            if answer is not None:
                answers.append(answer)
        if self._measured:
            self._used += used / 1e6
        done = self._now + (used + (self._costs.fsync if wrote else 0.0)) / 1e6
        for answer in answers:
            self._at(done + self._costs.network / 1e6, answer)
        self._at(done, self._work)

    def _take_turn(
        self, node: _Node, arrivals: list[float]
    ) -> tuple[float, Callable[[], None], bool]:
        self._feed.append(_Entry(arrivals, len(self._nodes)))
        self._turns += self._measured
        cost = self._costs.turn + len(arrivals) * self._costs.message
        return cost, lambda: self._answered(node), True

    def _read(self, node: _Node) -> tuple[float, Callable[[], None] | None, bool]:
        first, end = node.cursor, min(len(self._feed), node.cursor + READ_ENTRIES)
        if first == end:
            self._blocked.append(node)
            return 0.0, None, False
        node.cursor = end
        messages = sum(len(self._feed[place].arrivals) for place in range(first, end))
        if self._measured:
            self._answers += 1
            self._bytes += messages * self._costs.message_bytes
            self._bytes += (end - first) * self._costs.entry_bytes
        cost = self._costs.wake + messages * self._costs.heard
        return cost, lambda: self._hear(node, first, end), False


def most(nodes: int, costs: Costs | None = None, bound_ms: float = 100.0) -> float:
    """Return about how many messages a second some nodes can store together.

    That is, as many as all nodes have heard within the bound (p99), to a twentieth.
    """
    low, high = 0.0, 1_000.0
    while _holds(nodes, high, costs, bound_ms):
        low, high = high, high * 2
    while high - low > low / 20 + 1:
        middle = (low + high) / 2
        low, high = (middle, high) if _holds(nodes, middle, costs, bound_ms) else (low, middle)
    return low


def _holds(nodes: int, rate: float, costs: Costs | None, bound_ms: float) -> bool:
    result = Simulation(nodes, rate, costs).run(1.0)
    return result.arrived > 0.99 and result.p99_ms < bound_ms
