"""Submissions: from a member into the timeline, and their verdicts back to the author."""

import time
from collections.abc import Iterator, Mapping
from typing import Final

from geventchat.config import Limits
from geventchat.protocol import events, names
from geventchat.protocol.errors import ErrorCode, Refused
from geventchat.protocol.events import Post
from geventchat.server.access.rate_limits import DAY, Buckets, origin
from geventchat.server.chat.delivery import Delivery
from geventchat.server.chat.room import Member, Room
from geventchat.server.chat.turn import Pending
from geventchat.server.logs.console import Console
from geventchat.server.participant import Participant
from geventchat.server.timeline import Batch, Entry, Submission, Timeline

_CONFLICT: Final = "This key was already used for a different message."
_FAILURE: Final = "The server could not store that. Try again."


class Submissions:
    """Submissions without a verdict, by number. Nothing here waits."""

    def __init__(self, rooms: Mapping[str, Room], delivery: Delivery, console: Console) -> None:
        """`rooms` are the hub's."""
        self._rooms = rooms
        self._delivery = delivery
        self._console = console
        self._waiting: dict[int, tuple[Submission, Pending]] = {}
        self._number = 0
        self._new_rooms = Buckets(DAY)
        self.failed = 0
        """Messages that could not be stored."""

    def submit(
        self,
        timeline: Timeline,
        limits: Limits,
        member: Member,
        text: str,
        key: str | None = None,
        request_id: str | None = None,
        is_topic: bool = False,
    ) -> None:
        """Submit a member's text as a post or as its room's topic; the verdict comes later.

        Raises Refused `too_many_rooms` if it would start a room that may not be.
        """
        participant, room = member.participant, member.room
        if room.unused:
            self._begin_room(timeline, limits, participant, room)
        self._number = number = self._number + 1
        submission = Submission(
            number, room.name, participant.nick, text, participant.client, key, is_topic
        )
        pending = Pending(participant, request_id, time.perf_counter())
        self._waiting[number] = submission, pending
        timeline.append(submission)

    def _begin_room(
        self, timeline: Timeline, limits: Limits, participant: Participant, room: Room
    ) -> None:
        """Count a room that is stored for the first time. Raises Refused."""
        if room.name == names.LOBBY:
            return
        if timeline.full:
            raise Refused("too_many_rooms", "Server room limit reached.", room=room.name)
        if participant.pace is not None:
            limit = limits.new_rooms_per_day
            if not self._new_rooms.acquire(origin(participant.address), limit, time.monotonic()):
                text = f"Your address has started {limit} new rooms today, which is the limit."
                raise Refused("too_many_rooms", text, room=room.name)
        room.unused = False

    def deliver(self, batch: Batch) -> None:
        """Add a batch's entries to their rooms, and answer the other verdicts."""
        waiting = self._waiting
        for entry, number in batch.entries:
            _, pending = waiting.pop(number, (None, None))
            room = self._rooms.get(entry.room)
            if room is not None and room.post(entry, pending):
                room.unused = False
                self._delivery.add(room)
            elif pending is not None:
                self._acknowledge_alone(entry, pending)
            if isinstance(entry, Post):
                self._console.message(entry.room, entry.author, entry.text)
        if batch.repeated or batch.conflicts or batch.failed:
            self._delivery.errand(self._verdicts(batch))
        self._delivery.work()

    def _acknowledge_alone(self, entry: Entry, pending: Pending) -> None:
        """Acknowledge an entry whose room is closed or covers it already."""
        if isinstance(entry, events.Topic):
            pending.author.answer(
                events.Topic(room=entry.room, topic=entry.topic, by=entry.by, id=pending.request_id)
            )
        pending.author.acknowledged()

    def _verdicts(self, batch: Batch) -> Iterator[None]:
        """Answer submissions that are not entries, one per step."""
        self.failed += len(batch.failed)
        for number, position in batch.repeated:
            submission, pending = self._waiting.pop(number)
            pending.author.answer(
                events.Sent(
                    room=submission.room,
                    key=submission.key,
                    position=position,
                    id=pending.request_id,
                )
            )
            pending.author.acknowledged()
            yield
        refusals: list[tuple[list[int], ErrorCode, str]] = [
            (batch.conflicts, "key_conflict", _CONFLICT),
            (batch.failed, "storage", _FAILURE),
        ]
        for numbers, code, text in refusals:
            for number in numbers:
                submission, pending = self._waiting.pop(number)
                pending.author.answer(
                    events.Error(
                        code=code,
                        text=text,
                        room=submission.room,
                        key=submission.key,
                        id=pending.request_id,
                    )
                )
                pending.author.acknowledged()
                yield
