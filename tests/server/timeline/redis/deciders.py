"""Nodes that keep records and decide, each with a memory that follows what the others write."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import gevent

from geventchat.server.people.records import Records, decoded
from geventchat.server.timeline import RecordChange
from geventchat.server.timeline.redis import RedisTimeline
from tests.server.timeline.redis.listening import Listening, several

KIND = "test"


class Number:
    """A record: a number, or nothing."""

    def __init__(self, name: str, state: int | None = None) -> None:
        self.record = KIND, name
        self.state = state

    def value(self) -> object:
        return self.state


class Node(Listening):
    """One node: a timeline, and the numbers that it knows."""

    def __init__(self, url: str, merge: Callable[[int, int], int] | None = None) -> None:
        """`merge` gives what is true of a number that was changed here and elsewhere."""
        self.timeline = RedisTimeline(lambda _: None, url)
        self.records = Records(self.timeline.keep)
        self.timeline.nodes.settled = self.records.settled
        self.timeline.nodes.listen(self)
        self.numbers: dict[str, Number] = {}
        self._merge = merge
        for name, value in self.timeline.records(KIND):
            self.numbers[name] = Number(name, decoded(int, value))
        self.timeline.epoch_changed = lambda: gevent.spawn(self._adopt).start()
        self.timeline.start()

    def _adopt(self) -> None:
        """Know what is stored in another epoch, and nothing else."""
        nodes, epoch = self.timeline.nodes, self.timeline.epoch
        with nodes.deciding(adopting=True):
            stored = dict(self.timeline.records(KIND))
            for name in {*stored, *self.numbers}:
                self.hear_records([(KIND, name, stored.get(name))])
            nodes.adopted(epoch)

    def get(self, name: str) -> Number:
        return self.numbers.setdefault(name, Number(name))

    @property
    def states(self) -> dict[str, int]:
        return {name: each.state for name, each in self.numbers.items() if each.state is not None}

    def deciding(self) -> Any:
        return self.timeline.nodes.deciding()

    def add(self, name: str, amount: int = 1) -> None:
        """Add to a number, as something that depends on what it is."""
        with self.deciding():
            number = self.get(name)
            number.state = (number.state or 0) + amount
            self.records.save(number)

    def close(self) -> None:
        self.timeline.close(5)

    # What is heard

    def hear_records(self, changes: Sequence[RecordChange]) -> None:
        for kind, name, value in changes:
            assert kind == KIND
            number = self.get(name)
            state = None if value is None else decoded(int, value)
            if self._merge is not None and state is not None and number.state is not None:
                state = self._merge(number.state, state)
            number.state = state
            self.records.hear(number, value)


Nodes = Callable[..., list[Node]]


@contextmanager
def nodes_on(url: str, count: int, **options: Any) -> Iterator[list[Node]]:
    """Have nodes on an engine."""
    with several(lambda: Node(url, **options), count) as nodes:
        yield nodes
