"""A turn of a room: what its members hear next, encoded once per wire form.

Single members may hear something else in its place: that is cut in by offset, so many exclusions
cost no more than their number. Nothing here waits.
"""

import logging
import time
from collections.abc import Iterable
from typing import Final, NamedTuple

from msgspec.structs import replace

from geventchat.protocol import events
from geventchat.protocol.errors import INTERNAL
from geventchat.protocol.events import Post
from geventchat.server.participant import Participant
from geventchat.server.transport.outbox import Outbox
from geventchat.server.wire import Form

_JOINED_BYTES: Final = 16 << 10
"""Up to here a turn with parts left out is copied; a larger one leaves in pieces of the shared."""

_log = logging.getLogger(__name__)


class Pending(NamedTuple):
    """Who waits for the verdict on a submission."""

    author: Participant
    request_id: str | None
    came: float
    """When it was submitted, by the clock of turns."""


class Item(NamedTuple):
    """One thing that the members hear."""

    event: events.Event
    exclude: Participant | None = None
    """Who does not hear it."""
    asked: tuple[Pending, ...] = ()
    """Who hears it as the answer to a request of theirs."""


class Recipient:
    """Who is reached by turns."""

    __slots__ = ("active", "form", "outbox", "participant")

    def __init__(self, participant: Participant) -> None:
        self.participant = participant
        self.outbox: Outbox = participant.outbox
        self.form: Form = participant.form
        self.active = True


class Turn:
    """What the members of a room hear next, and how far the walk past them has come."""

    __slots__ = (
        "_encoded", "began", "items", "position", "posts", "recipients", "settled", "walked"
    )  # fmt: skip

    def __init__(
        self,
        items: list[Item],
        recipients: list[Recipient],
        posts: int,
        position: int,
        settled: list[Pending],
    ) -> None:
        self.items = items
        self.recipients = recipients
        """Those to be reached; grows while it is walked."""
        self.posts = posts
        """How many of the items are posts."""
        self.position = position
        """The newest that is delivered when it ends."""
        self.settled = settled
        """Who is acknowledged when the turn ends."""
        self.walked = 0
        self.began = time.perf_counter()
        self._encoded: dict[Form, _Encoded] = {}

    @property
    def came(self) -> float:
        """When the first of its posts was submitted here, as far as that is known."""
        return self.settled[0].came if self.settled else self.began

    def put(self, count: int) -> list[Outbox]:
        """Put the turn into the outboxes of the next `count` members; return those to be flushed.

        A bug with one member ends that member's session and skips no other.
        """
        touched: list[Outbox] = []
        form: Form | None = None
        end = self.walked + count
        for member in self.recipients[self.walked : end]:
            if not member.active:
                continue
            if member.form is not form:
                form = member.form
                encoded = self._encoded.get(form) or self._encode(form)
                blob, own = encoded.blob, encoded.own
            try:
                if own and member.participant in own:
                    for piece in encoded.for_one(member.participant):
                        member.outbox.put(piece)
                elif blob:
                    member.outbox.put(blob)
                else:
                    continue
                touched.append(member.outbox)
            except Exception:
                _log.exception("delivering to %s failed", member.participant.nick)
                member.participant.end(INTERNAL)
        self.walked = min(end, len(self.recipients))
        return touched

    @property
    def done(self) -> bool:
        """Whether everyone was reached."""
        return self.walked == len(self.recipients)

    def _encode(self, form: Form) -> "_Encoded":
        encoded = self._encoded[form] = _Encoded(form, self.items)
        return encoded


class _Encoded:
    """A turn in one wire form, and what single members hear instead of parts of it."""

    __slots__ = ("blob", "own")

    def __init__(self, form: Form, items: list[Item]) -> None:
        self.own: dict[Participant, list[tuple[int, int, bytes]]] = {}
        """Parts of the blob that are left out for somebody, and what comes in their place."""
        own, encode, rich = self.own, form.encode, form.rich
        parts = []
        start = 0
        for event, exclude, asked in items:
            part = encode(event)
            parts.append(part)
            end = start + len(part)
            # In a rich form authors hear their own posts.
            if (
                exclude is not None
                and exclude.form is form
                and not (rich and isinstance(event, Post))
            ):
                own.setdefault(exclude, []).append((start, end, b""))
            if asked and rich:
                self._answer(form, event, asked, start, end)
            start = end
        self.blob = b"".join(parts)

    def _answer(
        self, form: Form, event: events.Event, asked: Iterable[Pending], start: int, end: int
    ) -> None:
        """Let those who asked for an event hear it as the answers to their requests."""
        answers: dict[Participant, list[bytes]] = {}
        for author, request_id, _ in asked:
            answer = form.encode(replace(event, id=request_id))
            answers.setdefault(author, []).append(answer)
        for author, several in answers.items():
            self.own.setdefault(author, []).append((start, end, b"".join(several)))

    def for_one(self, participant: Participant) -> list[bytes | memoryview]:
        """Return what one member hears, in pieces: many exclusions cost no more than their sum."""
        shared = memoryview(self.blob)
        pieces: list[bytes | memoryview] = []
        start = 0
        for cut, end, instead in self.own[participant]:
            pieces += (shared[start:cut], instead)
            start = end
        pieces.append(shared[start:])
        pieces = [piece for piece in pieces if piece]
        if len(self.blob) <= _JOINED_BYTES and len(pieces) > 1:
            return [b"".join(pieces)]
        return pieces
