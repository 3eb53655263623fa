"""Retention: deletes the oldest posts by age, by number in a room, and by the engine's memory.

It runs in steps of at most 200 posts of one room, oldest first, so that the history of a room has
no hole; keys and changes are deleted with their posts, and the feed tells all nodes. A room that is
trimmed empty remembers its newest position. The cost of a step does not depend on the number of
rooms: it examines those that were written to, and the next few of a walk around all rooms.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from geventchat.server.timeline.clock import DAY_MS, Clock
from geventchat.server.timeline.redis import keys
from geventchat.server.timeline.redis.engine import Engine, Rejected
from geventchat.server.timeline.redis.scripts import Script
from geventchat.server.timeline.retention_policy import RetentionPolicy

POSTS_PER_ROOM: Final = 10_000
"""Limit of posts per room unless another is set: the history is in the engine's memory."""
TOTAL_BYTES: Final = 1 << 30
"""Limit of the engine's memory unless another is set: some 4 million posts of 100 characters."""

_TRIM: Final = Script("trim")
_SURVEY: Final = Script("survey")
_STEP_ROOMS: Final = 50
"""Rooms of the walk that one step examines: 0.5 ms of the engine's time."""
_ROOM_BYTES: Final = 600
"""Memory of a room without its posts: names, topic, position. Measured, Redis 7.0 and Valkey 9."""
_DATASET: Final = b"used_memory_dataset:"
USED: Final = keys.LIFE, "used"
"""When the store was last used, by the clock of the node that used it."""
_NOTE_MS: Final = 60_000

Identity = Callable[[], tuple[str, int]]
"""The id of this node and the life that it is in."""

_log = logging.getLogger(__name__)


def policy_of(policy: RetentionPolicy) -> RetentionPolicy:
    """Return a policy with the default limits where it has none."""
    return replace(
        policy,
        posts_per_room=policy.posts_per_room or POSTS_PER_ROOM,
        total_bytes=policy.total_bytes or TOTAL_BYTES,
    )


class Retention:
    """Deletes what is more than the policy allows. Used by one greenlet."""

    def __init__(self, engine: Callable[[], Engine], identity: Identity) -> None:
        """`engine` returns the connection to use."""
        self._engine = engine
        self._identity = identity
        self._written: dict[str, None] = {}
        """Rooms with too many posts, in order."""
        self._walk_position = b""
        """The name from which on the walk continues."""
        self._largest = b"", 0
        """The largest room that the walk has met, and the number of its posts."""
        self._clock: Clock | None = None
        self._noted_ms = 0
        """When it was last noted that the store is used."""
        self._known_damage: set[bytes | str] = set()
        self.policy = RetentionPolicy()
        self.trimmed = 0
        """Number of posts deleted."""
        self.ahead_ms = 0
        """How far the clock is ahead of what it can be, so that no post is too old."""
        self.rounds = 0
        """Number of completed walks around all rooms."""

    def note_written(self, room: str, count: int) -> None:
        """Note that a room has new posts, and how many in all. Never waits."""
        if self.policy.posts_per_room is not None and count > self.policy.posts_per_room:
            self._written[room] = None

    def forget_written(self) -> None:
        """Forget what was noted: another node deletes what is too much. Never waits."""
        self._written.clear()

    def step(self) -> bool:
        """Take one step; return whether it deleted anything, so that there may be more. Waits.

        Raises EngineError.
        """
        policy = self.policy
        if policy.posts_per_room is not None:
            while self._written:
                room = next(iter(self._written))
                del self._written[room]
                count, rest = self._trim(room, policy.posts_per_room)
                if rest > policy.posts_per_room and count:
                    self._written[room] = None
                if count:
                    return True
        return bool(policy) and self._walk(policy)

    def _walk(self, policy: RetentionPolicy) -> bool:
        """Examine the next rooms, and delete of one of them if there is too much."""
        oldest_ms = self._oldest_ms(policy)
        ages = int(policy.days is not None)
        found = self._engine().run(_SURVEY, (), self._walk_position, _STEP_ROOMS, ages)
        now_ms, rooms = found[0], list(zip(*(iter(found[1:]),) * 3, strict=True))
        for room, count, time_ms in rooms:
            self._walk_position = room  # of which there may be more
            if count > self._largest[1]:
                self._largest = room, count
            limit = policy.posts_per_room
            if limit is not None and count > limit and self._trim(room, limit)[0]:
                return True
            # An engine whose clock is ahead must not make posts old, nor one of this machine.
            before = min(now_ms - policy.days * DAY_MS, oldest_ms) if policy.days else 0
            if count > 0 and time_ms < before and self._trim(room, 0, before)[0]:
                return True
        self._walk_position += b"\0"
        if len(rooms) < _STEP_ROOMS:
            self._walk_position = b""
            self.rounds += 1
        return policy.total_bytes is not None and self._shrink(policy.total_bytes)

    def _shrink(self, most_bytes: int) -> bool:
        """Delete the oldest posts of a large room if the engine has too much."""
        info, rooms = self._engine().pipeline([("INFO", "memory"), ("ZCARD", keys.ROOMS)])
        for answer in (info, rooms):
            if isinstance(answer, Rejected):
                raise answer
        (line,) = (line for line in info.splitlines() if line.startswith(_DATASET))
        if int(line[len(_DATASET) :]) - rooms * _ROOM_BYTES <= most_bytes:
            return False
        room, _ = self._largest
        if not room:
            return False
        count, rest = self._trim(room, 0)
        self._largest = (room, rest) if rest else (b"", 0)
        return count > 0

    def _trim(self, room: bytes | str, stay: int, before_ms: int = 0) -> tuple[int, int]:
        """Delete posts of a room so that some stay; return how many, and how many there are."""
        try:
            count, rest = self._engine().run(_TRIM, (), *self._identity(), room, stay, before_ms)
        except Rejected as error:
            if error.code not in ("DAMAGED", "WRONGTYPE"):
                raise
            if room not in self._known_damage:
                self._known_damage.add(room)
                _log.error("a room cannot be trimmed: %s", error.text)
            return 0, 0
        self.trimmed += count
        return count, rest

    def _oldest_ms(self, policy: RetentionPolicy) -> int:
        """Return the time before which a post is too old; 0 if the clock cannot be trusted.

        Notes once a minute that the store is used.
        """
        if not policy.days:
            self.ahead_ms = 0
            return 0
        if self._clock is None:
            last = self._engine().call("HGET", *USED)
            self._clock = Clock(int(last) if last is not None else None)
        now_ms = self._clock.now_ms()
        if now_ms - self._noted_ms > _NOTE_MS:
            self._engine().call("HSET", *USED, self._clock.believed_ms(policy.away_ms))
            self._noted_ms = now_ms
        self.ahead_ms = self._clock.ahead_ms(policy.away_ms)
        return 0 if self.ahead_ms else now_ms - policy.days * DAY_MS
