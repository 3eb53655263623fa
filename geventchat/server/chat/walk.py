"""The walk: a room's turns on their way round its members.

A turn begins at the member that is visited next, even while other turns are on their way. It ends
when the walk reaches that place again. So one visit, and one send, brings a member every turn that
has begun since its last visit, and no message waits until the one before has reached everybody.

Nothing here waits.
"""

import logging
from collections import deque
from collections.abc import Iterable
from typing import Final

from geventchat.protocol.errors import INTERNAL
from geventchat.server.chat.turn import Encoded, Recipient, Turn
from geventchat.server.wire import Form

_SHARE: Final = 4
"""A turn begins when the one before it has gone a quarter of the way, so at most about four are on
their way: each is encoded, and all are joined again whenever one begins or ends."""

_log = logging.getLogger(__name__)


class Walk:
    """The members of a room in the order in which its turns reach them."""

    __slots__ = ("_encoded", "_members", "_next", "_removed", "_shown", "turns")

    def __init__(self, shown: str) -> None:
        """`shown`: what the room is called in logs."""
        self._shown = shown
        self.turns: deque[Turn] = deque()
        """Those on their way, the oldest first."""
        self._members: list[Recipient] = []
        """While there are turns. Those that were removed stay in it for a while."""
        self._next = 0
        """The index of the member that is visited next."""
        self._removed = 0
        """How many of them were removed."""
        self._encoded: dict[Form, Encoded] = {}
        """All turns together, in the forms in which they were sent."""

    @property
    def open(self) -> bool:
        """Whether another turn may begin now, while there are some."""
        return self.turns[-1].left * _SHARE <= len(self._members) * (_SHARE - 1)

    def begin(self, turn: Turn, members: Iterable[Recipient]) -> None:
        """Begin a turn, which reaches these members."""
        if not self.turns:
            self._members, self._next, self._removed = list(members), 0, 0
        turn.left = turn.recipients = len(self._members)
        self.turns.append(turn)
        self._encoded.clear()

    def add(self, member: Recipient) -> None:
        """Add a member, which gets all turns on their way."""
        if self.turns:
            self._members.insert(self._next, member)
        for turn in self.turns:
            turn.left += 1
            turn.recipients += 1

    def remove(self) -> None:
        """Note that a member is not active any more."""
        self._removed += 1

    def step(self, count: int) -> list[Turn]:
        """Visit so many members at most; return the turns that have reached everybody.

        A bug with one member ends that member's session and skips no other.
        """
        turns, members, first = self.turns, self._members, self._next
        end = min(first + min(count, turns[0].left), len(members))
        if end > first:
            self._send(members[first:end])
        for turn in turns:
            turn.left -= end - first
        self._next = end
        if end == len(members):
            self._come_round()
        ended = []
        while turns and not turns[0].left:
            ended.append(turns.popleft())
            self._encoded.clear()
        if not turns:
            self._members = []
        return ended

    def stop(self) -> list[Turn]:
        """End the walk; return the turns that have not reached everybody."""
        ended = list(self.turns)
        self.turns.clear()
        self._members = []
        self._encoded.clear()
        return ended

    def _come_round(self) -> None:
        """Begin with the first member again, without those that were removed if they are many."""
        self._next = 0
        if self._removed * _SHARE > len(self._members):
            for turn in self.turns:
                turn.left = sum(member.active for member in self._members[: turn.left])
            self._members = [member for member in self._members if member.active]
            self._removed = 0

    def _send(self, members: Iterable[Recipient]) -> None:
        form: Form | None = None
        for member in members:
            if not member.active:
                continue
            if member.form is not form:
                form = member.form
                encoded = self._encoded.get(form) or self._encode(form)
                blob, own, changes = encoded.blob, encoded.own, encoded.changes
            try:
                if (own and member.participant in own) or (
                    changes and member.hidden and encoded.hides(member.hidden)
                ):
                    for piece in encoded.for_one(member):
                        member.outbox.put(piece)
                    member.outbox.flush()
                elif blob:
                    member.outbox.send(blob)
            except Exception:
                _log.exception("delivering to %s failed", member.participant.nick)
                member.participant.end(INTERNAL)

    def _encode(self, form: Form) -> Encoded:
        """Return all turns together in a form, without those that cannot be encoded."""
        several = []
        for turn in self.turns:
            try:
                several.append(turn.encoded(form))
            except Exception:  # a bug in one turn must not end the others
                _log.exception("a turn of the room %r failed", self._shown)
                several.append(turn.skip(form))
        together = several[0] if len(several) == 1 else Encoded.joined(several)
        self._encoded[form] = together
        return together
