"""What tests of several nodes share: a listener that expects nothing, and nodes on an engine."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Protocol, TypeVar

from geventchat.server.timeline import RecordChange
from geventchat.server.timeline.nodes import Message, Part
from geventchat.server.timeline.redis import RedisTimeline


class Listening:
    """Hears other nodes; a test overrides what it expects of them."""

    def hear_records(self, changes: Sequence[RecordChange]) -> None:
        raise AssertionError

    def hear_moved(self, client: bytes, node: str) -> None:
        raise AssertionError

    def hear_part(self, node: str, changes: Sequence[Part], *, whole: bool) -> None:
        pass

    def hear_gone(self, node: str) -> None:
        pass

    def hear_message(self, node: str, message: Message) -> None:
        raise AssertionError


class _Node(Protocol):
    timeline: RedisTimeline


_N = TypeVar("_N", bound=_Node)


@contextmanager
def several(make: Callable[[], _N], count: int) -> Iterator[list[_N]]:
    """Have so many nodes, until the end of the block."""
    with ExitStack() as stack:
        nodes: list[_N] = []
        for _ in range(count):
            nodes.append(make())
            stack.callback(nodes[-1].timeline.close, 5)
        yield nodes
