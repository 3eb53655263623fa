"""Nodes that take clients and nicks, and note who moves away."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from geventchat.protocol.errors import Refused
from geventchat.server.timeline.redis import RedisTimeline
from tests.server.timeline.redis.listening import Listening, several


class Claimer(Listening):
    """One node: a timeline, and the clients that have moved away from it."""

    def __init__(self, url: str) -> None:
        self.timeline = RedisTimeline(lambda _: None, url)
        self.nodes = self.timeline.nodes
        self.nodes.listen(self)
        self.moved: list[tuple[bytes, str]] = []
        self.gone: list[str] = []
        self.timeline.start()

    def enter(
        self,
        client: str,
        former: str | None = None,
        guest: str = "guest-0",
        since: float | None = None,
    ) -> str | None:
        """Have a client enter as a guest; return the nick that it is to have."""
        return self.nodes.enter(client.encode(), guest, former, account=False, since=since)

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

    def hear_moved(self, client: bytes, node: str) -> None:
        self.moved.append((client, node))

    def hear_gone(self, node: str) -> None:
        self.gone.append(node)


Claimers = Callable[[str, int], list[Claimer]]


@contextmanager
def claimers_on(url: str, count: int) -> Iterator[list[Claimer]]:
    """Have nodes on an engine."""
    with several(lambda: Claimer(url), count) as claimers:
        yield claimers
