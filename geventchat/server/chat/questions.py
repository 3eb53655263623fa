"""Questions to the other nodes of a store, and orders, which each of them answers.

What is asked or answered may be lost, and a node may hang: who asks waits for a limited time, and
is told which nodes did not answer.
"""

import logging
from collections.abc import Callable, Collection
from itertools import count
from typing import Final, NamedTuple

import gevent
from gevent.event import Event

from geventchat.server.timeline.nodes import Answered, Asked, Directed, Message, Nodes

SECONDS: Final = 2.0
"""How long a node may take to answer."""
_MOST_AT_ONCE: Final = 64
"""Questions that are being answered; further ones stay without an answer."""

_log = logging.getLogger(__name__)


class Answers(NamedTuple):
    """What the other nodes answered."""

    contents: dict[str, bytes]
    """By the name of the node."""
    silent: tuple[str, ...]
    """The nodes that live and did not answer in time."""


class _Pending:
    """A question that is not answered by all yet."""

    def __init__(self, nodes: set[str], enough: Callable[[bytes], bool]) -> None:
        self.expected = nodes
        self.contents: dict[str, bytes] = {}
        self.done = Event()
        self._enough = enough

    def take(self, node: str, content: bytes) -> None:
        """Take the answer of a node."""
        self.contents[node] = content
        if self._enough(content):
            self.done.set()
        self.expect_no_more(node)

    def expect_no_more(self, node: str) -> None:
        """Wait for a node no longer."""
        self.expected.discard(node)
        if not self.expected:
            self.done.set()


class Questions:
    """Asks the other nodes, and answers them. Without others nothing here waits."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._numbers = count(1)
        self._pending: dict[int, _Pending] = {}
        self._answers: dict[str, Callable[[bytes], bytes]] = {}
        self._answering = 0
        self.on_direct: Callable[[Directed], str | None] = lambda _: None
        """Called with a direct message; returns the nick of who has it in an outbox now, if any.

        Never waits.
        """

    def answer(self, what: str, by: Callable[[bytes], bytes]) -> None:
        """Have a kind of question answered by a function, which may wait."""
        self._answers[what] = by

    def ask(self, what: str, about: bytes = b"", seconds: float = SECONDS) -> Answers:
        """Ask all other nodes, and wait until they have answered, for so many seconds at most."""
        number = next(self._numbers)
        return self._ask(Asked(number, what, about), lambda _: False, seconds)

    def note(self, silent: Collection[str], then: str) -> str | None:
        """Return a sentence about nodes that did not answer, and what follows; None: all did."""
        if not silent:
            return None
        count = f"{len(silent)} of {len(self._nodes.others) + 1} nodes"
        return f"{count} did not answer within {SECONDS:.0f} seconds: {then}"

    def direct(
        self, to: str, author: str, text: str, time: int, account: str | None = None
    ) -> Answers:
        """Send a direct message that is not stored to who has a nick on another node.

        Waits until a node has answered with that nick, or all without it, or for 2 s.
        """
        message = Directed(next(self._numbers), to, author, text, time, account)
        return self._ask(message, bool, SECONDS)

    def direct_too(
        self, to: str, author: str, text: str, time: int, account: str | None = None
    ) -> None:
        """Send such a message, which has arrived already, to further connections. Never waits."""
        if self._nodes.others:
            self._nodes.tell(Directed(0, to, author, text, time, account))

    def _ask(
        self, message: Asked | Directed, enough: Callable[[bytes], bool], seconds: float
    ) -> Answers:
        if not (others := set(self._nodes.others)):
            return Answers({}, ())
        pending = self._pending[message.number] = _Pending(others, enough)
        try:
            self._nodes.tell(message)
            pending.done.wait(seconds)
        finally:
            del self._pending[message.number]
        return Answers(pending.contents, tuple(sorted(pending.expected)))

    def hear(self, node: str, message: Message) -> None:
        """Take what another node asks or answers. Never waits."""
        match message:
            case Answered():
                if (pending := self._pending.get(message.number)) is not None:
                    pending.take(node, message.content)
            case Directed():
                nick = self.on_direct(message)
                if message.number:
                    content = b"" if nick is None else nick.encode()
                    self._nodes.tell(Answered(message.number, content), node)
            case Asked():
                if message.what in self._answers and self._answering < _MOST_AT_ONCE:
                    self._answering += 1
                    gevent.spawn(self._answer, node, message).name = "answer"

    def gone(self, node: str) -> None:
        """Wait for no answer of a node that has ended. Never waits."""
        for pending in self._pending.values():
            pending.expect_no_more(node)

    def _answer(self, node: str, asked: Asked) -> None:
        try:
            content = self._answers[asked.what](asked.about)
        except TimeoutError:
            pass  # it is too late for an answer
        except Exception:
            _log.exception("answering another node failed: %s", asked.what)
        else:
            self._nodes.tell(Answered(asked.number, content), node)
        finally:
            self._answering -= 1
