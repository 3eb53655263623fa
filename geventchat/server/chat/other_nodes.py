"""What is heard of other nodes, handed on to the parts of the chat that follow it."""

import logging
from collections.abc import Callable, Sequence

from geventchat.server.access.rules import RULE
from geventchat.server.timeline import RecordChange
from geventchat.server.timeline.nodes import Message, Part, Resumed, Typed

_log = logging.getLogger(__name__)


class OtherNodes:
    """The listener of a hub. Nothing here waits; what no part has taken over is ignored.

    A bug in one part is logged, and keeps nothing from the others.
    """

    def __init__(self) -> None:
        self.on_records: Callable[[Sequence[RecordChange]], None] | None = None
        """Called with the records that another node has written, but for the rules."""
        self.on_rules: Callable[[Sequence[RecordChange]], None] | None = None
        """Called with the rules of operators that another node has written."""
        self.on_moved: Callable[[bytes, str], None] | None = None
        """Called with a client that is another node's now, and the name of that."""
        self.on_part: Callable[[str, Sequence[Part], bool], None] | None = None
        """Called with a node, changes of its part, and whether that is all of it."""
        self.on_typed: Callable[[str, Typed], None] | None = None
        """Called with a node, and who is typing there."""
        self.on_resumed: Callable[[str, Resumed], None] | None = None
        """Called with a node, and a client that has rejoined its rooms there."""
        self.on_message: Callable[[str, Message], None] | None = None
        """Called with a node, and anything else that it says."""
        self.on_gone: list[Callable[[str], None]] = []
        """Called with a node that has ended, in this order."""

    def hear_records(self, changes: Sequence[RecordChange]) -> None:
        """Hand on what another node has written."""
        rules = [each for each in changes if each[0] == RULE]
        if rules and self.on_rules is not None:
            self._tell(self.on_rules, rules)
        if self.on_records is not None and len(rules) < len(changes):
            self._tell(self.on_records, [each for each in changes if each[0] != RULE])

    def hear_moved(self, client: bytes, node: str) -> None:
        """Hand on that a client is another node's now."""
        if self.on_moved is not None:
            self._tell(self.on_moved, client, node)

    def hear_part(self, node: str, changes: Sequence[Part], *, whole: bool) -> None:
        """Hand on who is in which room on another node."""
        if self.on_part is not None:
            self._tell(self.on_part, node, changes, whole)

    def hear_gone(self, node: str) -> None:
        """Hand on that a node has ended."""
        for each in self.on_gone:
            self._tell(each, node)

    def hear_message(self, node: str, message: Message) -> None:
        """Hand on what another node says."""
        if isinstance(message, Typed):
            if self.on_typed is not None:
                self._tell(self.on_typed, node, message)
        elif isinstance(message, Resumed):
            if self.on_resumed is not None:
                self._tell(self.on_resumed, node, message)
        elif self.on_message is not None:
            self._tell(self.on_message, node, message)

    @staticmethod
    def _tell(part: Callable[..., None], *what: object) -> None:
        try:
            part(*what)
        except Exception:
            _log.exception("following another node failed")
