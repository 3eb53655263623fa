"""Nodes that take clients and nicks, and note who moves away."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

from geventchat.protocol.errors import Refused
from geventchat.server.timeline import RecordChange
from geventchat.server.timeline.nodes import Message, Part
from geventchat.server.timeline.redis import RedisTimeline


class Claimer:
    """One node: a timeline, and the clients that have moved away from it."""

    def __init__(self, url: str) -> None:
        self.timeline = RedisTimeline(lambda _: None, url)
        self.nodes = self.timeline.nodes
        self.nodes.listen(self)
        self.moved: list[tuple[bytes, str]] = []
        self.gone: list[str] = []
        self.timeline.start()

    def enter(self, client: str, former: str | None = None, guest: str = "guest-0") -> str | None:
        """Have a client enter as a guest; return the nick that it is to have."""
        return self.nodes.enter(client.encode(), guest, former, account=False)

    def may_have(self, nick: str) -> bool:
        """Return whether somebody else could have a nick, by what the nodes say."""
        with suppress(Refused):
            self.nodes.check(nick)
            return True
        return False

    def end(self) -> None:
        """End it as a server ends that is stopped."""
        self.timeline.close(5)

    # What is heard

    def hear_records(self, changes: Sequence[RecordChange]) -> None:
        raise AssertionError

    def hear_moved(self, client: bytes, node: str) -> None:
        self.moved.append((client, node))

    def hear_part(self, node: str, changes: Sequence[Part], *, whole: bool) -> None:
        pass

    def hear_gone(self, node: str) -> None:
        self.gone.append(node)

    def hear_message(self, node: str, message: Message) -> None:
        raise AssertionError


Claimers = Callable[[str, int], list[Claimer]]


@contextmanager
def claimers_on(url: str, count: int) -> Iterator[list[Claimer]]:
    """Have nodes on an engine."""
    with ExitStack() as stack:
        claimers = []
        for _ in range(count):
            claimers.append(Claimer(url))
            stack.callback(claimers[-1].end)
        yield claimers
