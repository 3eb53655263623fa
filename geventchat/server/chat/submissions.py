"""Submissions: from a member into the timeline, and their verdicts back to the author."""

import time
from collections.abc import Callable, Iterator, Mapping, Set
from typing import Final

from gevent.event import AsyncResult
from msgspec.structs import replace

from geventchat.config import Limits
from geventchat.protocol import events, names
from geventchat.protocol.errors import STORAGE, Refused
from geventchat.protocol.events import Post
from geventchat.server.access.rate_limits import DAY, Buckets, origin
from geventchat.server.chat.delivery import Delivery
from geventchat.server.chat.room import Member, Room, gone
from geventchat.server.chat.turn import Pending
from geventchat.server.logs.console import Console
from geventchat.server.participant import Participant
from geventchat.server.people.private import PrivateRoom
from geventchat.server.timeline import Batch, Entry, Kind, Submission, Timeline
from geventchat.server.timeline.changes import Refusal

_CONFLICT: Final = Refusal("key_conflict", "This key was already used for a different message.")
_FAILURE: Final = Refusal("storage", "The server could not store that. Try again.")
IN_DOUBT: Final = Refusal(
    "storage", "It may not have been stored. Send it again with the same key."
)


class Submissions:
    """Submissions without a verdict, by number. Nothing here waits."""

    def __init__(self, rooms: Mapping[str, Room], delivery: Delivery, console: Console) -> None:
        """`rooms` are the hub's."""
        self._rooms = rooms
        self._delivery = delivery
        self._console = console
        self._waiting: dict[int, tuple[Submission, Pending]] = {}
        self._hooked: dict[int, tuple[str, AsyncResult[int | Refused]]] = {}
        """The rooms of webhooks, and the verdicts that they wait for."""
        self.stored: Callable[[Post], None] = lambda _: None
        """Called with each post; the hub sets it."""
        self._number = 0
        self._new_rooms = Buckets(DAY)
        self.private: Mapping[str, PrivateRoom] = {}
        """Private rooms and conversations, by name."""
        self.on_conversation: Callable[[PrivateRoom, Post], None] = lambda _room, _post: None
        """Called with each post of a conversation."""
        self.failed = 0
        """Messages that could not be stored."""
        self.unknown = 0
        """Messages of which it is not known whether they were stored."""

    def submit(
        self,
        timeline: Timeline,
        limits: Limits,
        member: Member,
        text: str,
        key: str | None = None,
        request_id: str | None = None,
        kind: Kind = "say",
        position: int = 0,
        may_redact_any: bool = False,
        to: str | None = None,
    ) -> None:
        """Submit a member's text, or the change of the post at a position; the verdict comes later.

        `to` is the recipient of a direct message. Raises Refused `too_many_rooms` if it would start
        a room that may not be.
        """
        participant, room = member.participant, member.room
        if room.unused and kind in ("say", "topic"):
            if not names.is_conversation(room.name):
                self.begin_room(timeline, limits, participant, room.name)
            room.unused = False
        self._number = number = self._number + 1
        submission = Submission(
            number, room.name, participant.nick, text, participant.client, key, kind,
            position=position, may_redact_any=may_redact_any,
        )  # fmt: skip
        if participant.account is not None:
            submission.account = participant.account.id
        pending = Pending(participant, request_id, time.perf_counter(), to)
        self._waiting[number] = submission, pending
        timeline.append(submission)

    def submit_hook(
        self,
        timeline: Timeline,
        room: str,
        author: str,
        text: str,
        client: bytes,
        key: str | None,
    ) -> "AsyncResult[int | Refused]":
        """Submit the post of a webhook to an open room; return what its position will be set on.

        Raises Refused `too_many_rooms`.
        """
        unused = not timeline.position(room) and not timeline.topic(room)
        if unused and timeline.full and room != names.LOBBY:
            raise Refused("too_many_rooms", "Server room limit reached.", room=room)
        self._number = number = self._number + 1
        verdict: AsyncResult[int | Refused] = AsyncResult()
        self._hooked[number] = room, verdict
        timeline.append(Submission(number, room, author, text, client, key, hook=True))
        return verdict

    def begin_room(
        self, timeline: Timeline, limits: Limits, participant: Participant, room: str
    ) -> None:
        """Count a room that is stored for the first time. Raises Refused `too_many_rooms`."""
        if room == names.LOBBY:
            return
        if timeline.full:
            raise Refused("too_many_rooms", "Server room limit reached.", room=room)
        if participant.pace is not None:
            limit = limits.new_rooms_per_day
            if not self._new_rooms.acquire(origin(participant.address), limit, time.monotonic()):
                text = f"Your address has started {limit} new rooms today, which is the limit."
                raise Refused("too_many_rooms", text, room=room)

    def under_way(self, room: str) -> bool:
        """Return whether a submission to a room has no verdict yet."""
        said = any(submission.room == room for submission, _ in self._waiting.values())
        return said or any(hooked == room for hooked, _ in self._hooked.values())

    def deliver(self, batch: Batch) -> None:
        """Add a batch's entries to their rooms, and answer the other verdicts."""
        self.unknown += len(batch.unknown)
        if self._hooked:
            self._answer_hooks(batch)
        waiting = self._waiting
        for entry, number in batch.entries:
            _, pending = waiting.pop(number, (None, None))
            room = self._rooms.get(entry.room)
            if room is not None and room.post(entry, pending):
                room.unused = False
                self._delivery.add(room)
            elif pending is not None:
                is_member = room is not None and pending.author in room.members
                self._acknowledge_alone(entry, pending, is_member=is_member)
            if isinstance(entry, Post):
                self.stored(entry)
                private = self.private.get(entry.room)
                if private is None:
                    self._console.message(entry.room, entry.author, entry.text)
                else:
                    self._console.private_message(private.number)
                    if private.between:
                        self.on_conversation(private, entry)
        in_doubt: set[Participant] = set()
        for number in batch.unknown:  # at once: their authors must not submit anything more
            _, pending = waiting.pop(number)
            in_doubt.add(pending.author)
            pending.author.end(STORAGE)
            pending.author.acknowledged()
        if any((batch.repeated, batch.conflicts, batch.failed, batch.unchanged, batch.refused)):
            self._delivery.errand(self._verdicts(batch, in_doubt))
        self._delivery.work()

    def _answer_hooks(self, batch: Batch) -> None:
        """Set the verdicts of webhooks; nobody else waits for these."""
        hooked = self._hooked
        for entry, number in batch.entries:
            if number in hooked and isinstance(entry, Post):
                hooked.pop(number)[1].set(entry.position)
        for number, position in batch.repeated:
            if number in hooked:
                hooked.pop(number)[1].set(position)
                batch.repeated = [each for each in batch.repeated if each[0] != number]
        for number in batch.conflicts:
            if number in hooked:
                hooked.pop(number)[1].set(Refused(*_CONFLICT))
                batch.conflicts = [each for each in batch.conflicts if each != number]
        for number in batch.failed:
            if number in hooked:
                hooked.pop(number)[1].set(Refused(*_FAILURE))
                batch.failed = [each for each in batch.failed if each != number]
                self.failed += 1
        for number in batch.unknown:
            if number in hooked:
                hooked.pop(number)[1].set(Refused(*IN_DOUBT))
                batch.unknown = [each for each in batch.unknown if each != number]

    def _acknowledge_alone(self, entry: Entry, pending: Pending, *, is_member: bool) -> None:
        """Acknowledge an entry whose room is closed or covers it already."""
        if not isinstance(entry, Post):  # then nobody is in the room
            pending.author.answer(gone(replace(entry, id=pending.request_id)))
        pending.settle(entry, is_member=is_member)

    def _verdicts(self, batch: Batch, in_doubt: Set[Participant]) -> Iterator[None]:
        """Answer submissions that are not entries, one per step.

        Those who come back because of others `in_doubt` are not told that some failed: they send
        all of them again, in their order.
        """
        self.failed += len(batch.failed)
        for number, position in batch.repeated:
            submission, pending = self._waiting.pop(number)
            pending.author.answer(pending.sent(submission.room, submission.key, position))
            pending.author.acknowledged()
            yield
        for number, change in batch.unchanged:
            submission, pending = self._waiting.pop(number)
            answer = replace(change, id=pending.request_id)
            room = self._rooms.get(submission.room)
            is_member = room is not None and pending.author in room.members
            pending.author.answer(answer if is_member else gone(answer))
            pending.author.acknowledged()
            yield
        refusals = [
            *((number, _CONFLICT) for number in batch.conflicts),
            *((number, _FAILURE) for number in batch.failed),
            *batch.refused,
        ]
        for number, (code, text) in refusals:
            submission, pending = self._waiting.pop(number)
            if pending.author not in in_doubt:
                error = events.Error(
                    code=code,
                    text=text,
                    room=submission.room,
                    key=submission.key,
                    id=pending.request_id,
                )
                pending.author.answer(error)
            pending.author.acknowledged()
            yield
