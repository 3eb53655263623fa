"""A turn of a room: what its members receive together, encoded once per wire form.

Parts that single members do not receive, or receive in another form, are cut out by offset: many
exclusions cost no more than their number. Nothing here waits.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from geventchat.protocol.events import Edited, Event, Post, Redacted, Sent, Topic
from geventchat.server.participant import Participant
from geventchat.server.timeline import Entry
from geventchat.server.transport.outbox import Outbox
from geventchat.server.wire import Form

_JOINED_BYTES: Final = 16 << 10
"""Up to this size a turn with parts cut out is copied; a larger one is put in shared pieces."""


class Pending(Struct, frozen=True, gc=False):
    """The author that waits for the verdict on a submission."""

    author: Participant
    request_id: str | None
    submitted_at: float
    """When it was submitted, by the clock of turns."""
    to: str | None = None
    """The recipient of a direct message, who is named in the answer."""

    def settle(self, entry: Entry, *, is_member: bool) -> None:
        """Count it as acknowledged; a member has received the entry, others are told of a post."""
        if isinstance(entry, Post) and (self.to is not None or not is_member):
            self.author.answer(self.sent(entry.room, entry.key, entry.position))
        self.author.acknowledged()

    def sent(self, room: str, key: str | None, position: int) -> Sent:
        """Return the answer to a message that is stored."""
        stored = True if self.to is not None else None
        return Sent(
            room=room, key=key, position=position, to=self.to, stored=stored, id=self.request_id
        )


class Recipient:
    """A member as a turn sees it."""

    __slots__ = ("active", "form", "hidden", "outbox", "participant")

    def __init__(self, participant: Participant) -> None:
        self.participant = participant
        self.outbox: Outbox = participant.outbox
        self.form: Form = participant.form
        self.active = True
        self.hidden = 0
        """The position up to which it may not know of posts, nor of their changes."""


class Turn:
    """What the members of a room receive together, and how many have still to receive it."""

    __slots__ = (
        "_asked", "_encoded", "began", "change", "entries", "events", "left", "position", "posts",
        "recipients", "size", "topic",
    )  # fmt: skip

    def __init__(
        self,
        events: list[tuple[Event, Participant | None]],
        entries: list[tuple[Entry, Pending | None]],
        posts: int,
        position: int,
        size: int,
    ) -> None:
        self.events = events
        """What is not an entry, each with the participant that does not receive it."""
        self.entries = entries
        """What follows them, each with who waits for its verdict here."""
        self.posts = posts
        """How many of the entries are posts."""
        self.position = position
        """The newest that is delivered when it ends."""
        self.size = size
        """An upper estimate of its bytes."""
        self.recipients = self.left = 0
        """How many members it reaches, and how many of them it has still to reach."""
        self.began = time.perf_counter()
        self.topic: Topic | None = None
        """The newest of its topics, the only one that is sent. It answers all who set one."""
        self._asked: list[Pending] = []
        self.change = 0
        """The number of the newest change of a post that it tells of; 0: of none."""
        if len(entries) > posts:
            for entry, pending in entries:
                if isinstance(entry, Topic):
                    self.topic = entry
                    if pending is not None:
                        self._asked.append(pending)
                elif not isinstance(entry, Post):
                    self.change = entry.change
        self._encoded: dict[Form, Encoded] = {}

    @property
    def submitted_at(self) -> float:
        """When the first of its entries was submitted here, as far as known."""
        for _, pending in self.entries:
            if pending is not None:
                return pending.submitted_at
        return self.began

    def answers(self) -> Iterator[tuple[Participant, Topic | Edited | Redacted]]:
        """Yield the answers to the requests for topics and changes, and who sent them."""
        yield from self.topic_answers()
        for entry, pending in self.entries:
            if pending is not None and isinstance(entry, Edited | Redacted):
                yield pending.author, replace(entry, id=pending.request_id)

    def topic_answers(self) -> Iterator[tuple[Participant, Topic]]:
        """Yield the answer to each request that set a topic, and who sent that."""
        for each in self._asked:
            assert self.topic is not None
            yield each.author, replace(self.topic, id=each.request_id)

    def encoded(self, form: Form) -> "Encoded":
        """Return it in a form."""
        encoded = self._encoded.get(form)
        if encoded is None:
            encoded = self._encoded[form] = Encoded.of(form, self)
        return encoded

    def skip(self, form: Form) -> "Encoded":
        """Have it say nothing in a form in which it cannot be encoded."""
        encoded = self._encoded[form] = Encoded()
        return encoded


class Encoded:
    """Turns in one wire form, and what single members receive instead of parts of them."""

    __slots__ = ("blob", "changes", "own")

    def __init__(self) -> None:
        self.blob = b""
        self.own: dict[Participant, list[tuple[int, int, bytes]]] = {}
        """Ranges of the blob to cut out for a participant, and what to put in their place."""
        self.changes: list[tuple[int, int, int]] = []
        """The position of each post that is changed, and the range of the change."""

    @classmethod
    def of(cls, form: Form, turn: Turn) -> "Encoded":
        """Encode a turn."""
        encoded = cls()
        own, encode, rich = encoded.own, form.encode, form.rich
        parts = []
        start = 0
        for event, exclude in turn.events:
            part = encode(event)
            parts.append(part)
            end = start + len(part)
            if exclude is not None and exclude.form is form:
                own.setdefault(exclude, []).append((start, end, b""))
            start = end
        for entry, pending in turn.entries:
            part = encode(entry)
            end = start + len(part)
            asked = pending if pending is not None and pending.author.form is form else None
            if isinstance(entry, Post):
                # In a rich form authors receive their own posts.
                if asked is not None and not rich:
                    own.setdefault(asked.author, []).append((start, end, b""))
            elif isinstance(entry, Topic):
                if entry is not turn.topic:
                    continue
                if rich:
                    encoded._answer(form, turn, start, end)
            else:
                encoded.changes.append((entry.position, start, end))
                if asked is not None:
                    answer = encode(replace(entry, id=asked.request_id))
                    own.setdefault(asked.author, []).append((start, end, answer))
            parts.append(part)
            start = end
        encoded.blob = b"".join(parts)
        return encoded

    @classmethod
    def joined(cls, several: Sequence["Encoded"]) -> "Encoded":
        """Return what is one behind the other."""
        encoded = cls()
        start = 0
        for each in several:
            for participant, cuts in each.own.items():
                moved = [(start + begin, start + end, instead) for begin, end, instead in cuts]
                encoded.own.setdefault(participant, []).extend(moved)
            encoded.changes += [(at, start + begin, start + end) for at, begin, end in each.changes]
            start += len(each.blob)
        encoded.blob = b"".join([each.blob for each in several])
        return encoded

    def _answer(self, form: Form, turn: Turn, start: int, end: int) -> None:
        """Replace the topic by the answers for those who requested it."""
        answers: dict[Participant, list[bytes]] = {}
        for author, answer in turn.topic_answers():
            answers.setdefault(author, []).append(form.encode(answer))
        for author, several in answers.items():
            self.own.setdefault(author, []).append((start, end, b"".join(several)))

    def hides(self, hidden: int) -> bool:
        """Return whether a member may not know of all of it, who may of posts after a position."""
        return any(position <= hidden for position, _, _ in self.changes)

    def for_one(self, member: Recipient) -> list[bytes | memoryview]:
        """Return what one member receives, in pieces of the shared blob."""
        cuts = {start: (start, end, b"") for at, start, end in self.changes if at <= member.hidden}
        cuts |= {cut[0]: cut for cut in self.own.get(member.participant, ())}
        small = len(self.blob) <= _JOINED_BYTES
        shared = self.blob if small else memoryview(self.blob)
        pieces: list[bytes | memoryview] = []
        start = 0
        for cut, end, instead in sorted(cuts.values()):
            pieces += (shared[start:cut], instead)
            start = end
        pieces.append(shared[start:])
        pieces = [piece for piece in pieces if piece]
        if small and len(pieces) > 1:
            return [b"".join(pieces)]
        return pieces
