"""Nodes: what several servers on one store agree on, and tell each other, beside the history.

A server alone on its store is `Alone`, which never waits. Whatever is heard from others is heard
in stretches that never switch, and what one node says is heard in the order in which it said it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from typing import Final, Protocol, TypeAlias

from msgspec import Struct

from geventchat.server.timeline.submission import RecordChange


class Person(Struct, array_like=True, frozen=True):
    """Somebody as the members of a room see them."""

    id: str
    """The public id of an account, else the hash of a client as hex, else the name of a guest."""
    nick: str
    account: str | None = None
    """The public id of the account, if it has one."""


class Came(Struct, array_like=True, tag=True, frozen=True):
    """Somebody is a member of a room on this node, or was lost there and may come back.

    Said again of a person that is there already, it says what their nick is now.
    """

    room: str
    person: Person


class Went(Struct, array_like=True, tag=True, frozen=True):
    """Somebody is not a member of a room on this node any more."""

    room: str
    id: str


class Counted(Struct, array_like=True, tag=True, frozen=True):
    """A room has so many members on this node, too many to name them; 0: none any more.

    Until it is 0 nobody comes or goes there.
    """

    room: str
    count: int


Part: TypeAlias = Came | Went | Counted
"""A change of who is in which room on one node. The sum of these is the node's part."""


class Typed(Struct, array_like=True, tag=True, frozen=True):
    """Somebody is typing in a room."""

    room: str
    nick: str
    position: int = 0
    """The newest in the room then: whoever has posted since has stopped typing."""


class Resumed(Struct, array_like=True, tag=True, frozen=True):
    """A client has rejoined what it wanted: it does not come back to its other rooms."""

    client: bytes
    """The hash of its id."""
    id: str
    """That of the person."""


class Directed(Struct, array_like=True, tag=True, frozen=True):
    """A direct message that is not stored, to whoever has a nick there."""

    number: int
    """Of the question that `Answered` answers."""
    to: str
    author: str
    text: str
    time: int
    account: str | None = None


class Asked(Struct, array_like=True, tag=True, frozen=True):
    """A question to all nodes, or an order, which each answers with `Answered`."""

    number: int
    what: str
    about: bytes = b""


class Answered(Struct, array_like=True, tag=True, frozen=True):
    """The answer of one node to a question, or to a direct message."""

    number: int
    content: bytes = b""


Message: TypeAlias = Typed | Resumed | Directed | Asked | Answered
"""What one node tells others. It may be lost, as when an engine is away."""


class Listener(Protocol):
    """The part of a server that hears of other nodes. Nothing here waits or switches."""

    def hear_records(self, changes: Sequence[RecordChange]) -> None:
        """Follow what another node has written: it holds, and is on disk."""

    def hear_moved(self, client: bytes, node: str) -> None:
        """Give up a client, which is another node's now, with its nick."""

    def hear_part(self, node: str, changes: Sequence[Part], *, whole: bool) -> None:
        """Follow who is in which room on another node; `whole`: nobody else is there."""

    def hear_gone(self, node: str) -> None:
        """Forget a node that has ended."""

    def hear_message(self, node: str, message: Message) -> None:
        """Take what another node says."""


class Nodes(ABC):
    """The nodes of a store, as one of them sees it."""

    alone: bool
    """Whether no other server can be on the store."""
    settled: Callable[[], None] = staticmethod(lambda: None)
    """Waits until all records that were noted are on disk; set by what notes them."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What this node is called."""

    @property
    @abstractmethod
    def others(self) -> Sequence[str]:
        """The names of the other nodes that are alive. Never waits."""

    @property
    def leads(self) -> bool:
        """Whether this node does what one of them has to do. Never waits."""
        return all(self.name < other for other in self.others)

    @property
    @abstractmethod
    def awaited(self) -> Set[str]:
        """The other nodes that are alive, or may still come to an epoch that has begun."""

    @property
    @abstractmethod
    def knew(self) -> tuple[int, int]:
        """How far this node had heard the others when its epoch began: a later place is higher."""

    @abstractmethod
    def listen(self, listener: Listener) -> None:
        """Have what others say heard from now on. Called once, before `Timeline.start`."""

    @property
    @abstractmethod
    def decides(self) -> bool:
        """Whether nobody on another node may decide now. Never waits.

        Then what is decided is as it is here, on disk or not, whatever another node has written:
        it wrote for another reason, and may not have known of the latest decisions.
        """

    @abstractmethod
    def deciding(self, *, adopting: bool = False) -> AbstractContextManager[None]:
        """Let nobody on any node decide in a `with` block but the caller.

        For what depends on records and changes them: in the block all that others have written
        is known. The right ends when what was noted in the block is on disk. Waits for up to 10 s.
        Raises Refused `storage`. `adopting`: by what has the memory of this server follow another
        epoch, which all others wait for.
        """

    @abstractmethod
    def adopted(self, epoch: str) -> None:
        """Note that the memory of this server knows the records of another epoch. Never waits.

        Until then nobody else decides here, and no record is written over one of that epoch.
        """

    @abstractmethod
    def catch_up(self) -> None:
        """Wait until all is known here that other nodes had written before.

        Waits for up to 10 s. Raises Refused `storage`.
        """

    @abstractmethod
    def known(self, client: bytes) -> str | None:
        """Return the nick that a rich client has or that is held for it on another node, if any.

        Waits for up to 10 s. Raises Refused `storage`.
        """

    @abstractmethod
    def enter(
        self, client: bytes, guest: str, former: str | None, *,
        account: bool, since: float | None = None,
    ) -> str | None:  # fmt: skip
        """Have a rich client be this node's; return the nick that it is to have.

        That is the one that it has on any node, else `former`, which it has here; if others have
        taken that, `guest`. None: its account's. A node that had the client gives it up. The
        caller adds the client before anything waits, or calls `leave`. `since`: when the client
        said hello, by the monotonic clock, if that is not now. Waits for 8 s from then at most: a
        client that has given up may be on another node, and must not be taken from that one.
        Raises Refused `storage`, and Ending if another node has got the client meanwhile.
        """

    @abstractmethod
    def hold(self, client: bytes, nick: str | None, seconds: float) -> None:
        """Note that a client is lost, and for how long its nick is held. Never waits.

        `nick`: None, its account's. If another node has the client, or somebody there the nick, as
        after what is stored of it was lost, the listener hears that it has moved.
        """

    @abstractmethod
    def leave(self, client: bytes) -> None:
        """Give up a client that is this node's, with its nick. Never waits."""

    @abstractmethod
    def check(self, nick: str) -> None:
        """Make sure that a nick, normalized, is nobody's on another node, and looks like none.

        Waits for up to 10 s. Raises Refused `nick_in_use`, `nick_too_similar` and `storage`.
        """

    @abstractmethod
    def claim(self, nick: str, client: bytes) -> None:
        """Have a nick, normalized, belong to a client of this node. Raises and waits as `check`.

        Its former nick goes on belonging to it until `unclaim`. All that others had decided about
        accounts before is known when this returns, so the caller looks once more whether the nick
        is an account's, and calls `restore` if it may not be had.
        """

    @abstractmethod
    def reserve(self, nick: str, client: bytes | None = None) -> None:
        """Keep a nick, normalized, for an account whose record is to be written.

        It is free, or belongs to `client`. Until `unclaim` nobody else can have it; then the
        record has to be written, or `restore` called. Raises and waits as `check`.
        """

    @abstractmethod
    def restore(self, nick: str, client: bytes | None, former: str | None = None) -> None:
        """Undo `claim` or `reserve`; `former` is the nick that a client has. Never waits."""

    @abstractmethod
    def unclaim(self, nick: str) -> None:
        """Give a nick of this node back to all. Never waits."""

    @abstractmethod
    def next_guest(self) -> int:
        """Return the number of a guest that no node has used or will use. Never waits."""

    @abstractmethod
    def share(self, change: Part) -> None:
        """Change this node's part, which the others hear. Never waits."""

    @abstractmethod
    def tell(self, message: Message, node: str | None = None) -> None:
        """Tell one node something, or all others. Never waits."""

    @abstractmethod
    def meet(self) -> None:
        """Wait until the parts of all others are known, for up to 3 s.

        Whoever comes back from one of them is announced by a node that did not know its part.
        """


class Alone(Nodes):
    """A store with one server. Nothing here waits."""

    alone = True
    name = ""
    others: Final = ()
    awaited: Set[str] = frozenset()
    knew = 0, 0
    decides = True

    def __init__(self) -> None:
        self._guests = count(1)

    def listen(self, listener: Listener) -> None:
        pass

    @contextmanager
    def deciding(self, *, adopting: bool = False) -> Iterator[None]:
        yield

    def adopted(self, epoch: str) -> None:
        pass

    def catch_up(self) -> None:
        pass

    def known(self, client: bytes) -> str | None:
        return None

    def enter(
        self, client: bytes, guest: str, former: str | None, *,
        account: bool, since: float | None = None,
    ) -> str | None:  # fmt: skip
        return None if account else former or guest

    def hold(self, client: bytes, nick: str | None, seconds: float) -> None:
        pass

    def leave(self, client: bytes) -> None:
        pass

    def check(self, nick: str) -> None:
        pass

    def claim(self, nick: str, client: bytes) -> None:
        pass

    def reserve(self, nick: str, client: bytes | None = None) -> None:
        pass

    def restore(self, nick: str, client: bytes | None, former: str | None = None) -> None:
        pass

    def unclaim(self, nick: str) -> None:
        pass

    def next_guest(self) -> int:
        return next(self._guests)

    def share(self, change: Part) -> None:
        pass

    def tell(self, message: Message, node: str | None = None) -> None:
        pass

    def meet(self) -> None:
        pass
