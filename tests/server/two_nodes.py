"""Two hubs, each of which hears at once what the other has written of people."""

from collections.abc import Callable, Sequence, Set

from geventchat.protocol import requests
from geventchat.server.people.account import Account
from geventchat.server.people.people import People
from geventchat.server.session import handlers
from geventchat.server.session.session import Session
from geventchat.server.timeline import Behind, RecordChange
from geventchat.server.timeline.nodes import Alone
from tests.server.hub_harness import Harness, connect, seen
from tests.server.switches import let_run, never_switches


class Paired(Alone):
    """The nodes of a hub that is one of two. They decide one after the other in any case."""

    alone = False
    decides = False

    def __init__(self, name: str, other: str) -> None:
        super().__init__()
        self._names = name, other
        self.knew = 1, 1

    @property
    def awaited(self) -> Set[str]:  # type: ignore[override]
        return {self._names[1]}

    @property
    def name(self) -> str:  # type: ignore[override]
        return self._names[0]

    @property
    def leads(self) -> bool:
        return self.name < self._names[1]


class Node(Harness):
    """One of two hubs; a test may hold what the other one has still to hear."""

    def __init__(self, name: str, other: str) -> None:
        super().__init__()
        self.timeline.nodes = Paired(name, other)
        self.peer: Node | None = None
        self.store: dict[tuple[str, str], bytes] = {}
        """The records, which both nodes write."""
        self.timeline.records = self._records  # type: ignore[method-assign]
        self.written: list[tuple[str, str]] = []
        """The kinds and ids of what it wrote."""
        self.timeline.keep = self._keep  # type: ignore[method-assign]
        self.faster: list[Callable[[], None]] = []
        """What the other node does before each of the next writes, which are behind then."""
        self.hub.use(self.timeline)

    def _records(self, kind: str) -> list[tuple[str, bytes]]:
        return [(number, value) for (each, number), value in self.store.items() if each == kind]

    @property
    def people(self) -> People:
        return self.hub.people

    def _keep(self, changes: Sequence[RecordChange]) -> None:
        if self.faster:
            self.faster.pop(0)()
            raise Behind
        for kind, number, value in changes:
            self.store.pop((kind, number), None)
            if value is not None:
                self.store[kind, number] = value
        self.written += [(kind, number) for kind, number, _ in changes]
        assert self.peer is not None
        with never_switches():
            self.peer.hub.other_nodes.hear_records(changes)

    def account(self, nick: str, *rooms: str) -> Account:
        """Make an account that is in some rooms, which both nodes know of."""
        made = self.people.create(nick)
        self.hub.owners.reserve(made)
        joined = [self.people.join(made, room) for room in rooms or ("lobby",)]
        self.people.save(made, *joined)
        return made

    def same(self, account: Account) -> Account:
        """Return an account as this node has it."""
        return self.people.accounts[account.id]

    def connect(self, client: str, who: Account | None = None, *rooms: str) -> Session:
        """Connect a client of an account in all its rooms, or a guest in these."""
        mine = self.same(who) if who is not None else None
        session = connect(self, client, mine, *rooms)
        if session.login is not None:
            self.people.save(session.login)
        return session

    def ask(self, session: Session, request: requests.AnyRequest) -> None:
        """Have a session request something; all follow what that brought about."""
        handlers.answer(session, request)
        let_run()
        assert self.peer is not None
        for node in (self, self.peer):
            for each in node.hub.sessions:
                if isinstance(each, Session) and each.ending is None:
                    handlers.follow(each)
            while node.delivering:
                node.slice()


def two_nodes() -> tuple[Node, Node]:
    """Return two hubs that hear each other; the first leads."""
    one, other = Node("a", "b"), Node("b", "a")
    one.peer, other.peer = other, one
    other.timeline.epoch, other.store = one.timeline.epoch, one.store
    return one, other


__all__ = ["Node", "seen", "two_nodes"]
