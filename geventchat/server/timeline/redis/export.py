"""Export and check of what an engine holds, for `geventchat history`. All functions wait.

A server may go on meanwhile. Of each room there are then all posts that it had when the export came
to it, each as it is when it is read.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from geventchat.server.timeline.lines import RecordLine, RoomLine, StoredPost, written
from geventchat.server.timeline.redis import keys
from geventchat.server.timeline.redis.engine import Engine, Part, Rejected
from geventchat.server.timeline.redis.scripts import Script
from geventchat.server.timeline.redis.stored import CHANGED, FIELDS, content

_PAGE: Final = Script("page")
_PAGE_BYTES: Final = 1 << 20
_MOST: Final = 200
"""Rooms, or records, that are asked for at once."""


class Trimmed(Exception):
    """Posts were deleted while they were read."""


def export_lines(engine: Engine, give_away: Callable[[], str] = str) -> Iterator[bytes]:
    """Yield the lines of an export, without line ends; the epoch is what `give_away` returns.

    Raises EngineError, Trimmed.
    """
    found = ((room, posts(engine, room)) for room in rooms(engine))
    return written(found, records(engine), give_away)


def rooms(engine: Engine) -> Iterator[RoomLine]:
    """Yield all rooms, by name. Raises EngineError."""
    low = b"-"
    while names := engine.call("ZRANGEBYLEX", keys.ROOMS, low, "+", "LIMIT", 0, _MOST):
        topics, changes = answers(
            engine, ("HMGET", keys.TOPICS, *names), ("HMGET", keys.CHANGES, *names)
        )
        streams = engine.pipeline([("XINFO", "STREAM", keys.room(name.decode())) for name in names])
        for name, topic, change, stream in zip(names, topics, changes, streams, strict=True):
            yield RoomLine(
                name=name.decode(), topic=(topic or b"").decode(), top=_top(stream),
                change=int(change or 0),
            )  # fmt: skip
        low = b"(" + names[-1]


def posts(engine: Engine, room: RoomLine) -> Iterator[StoredPost]:
    """Yield the posts of a room without a hole; damaged and missing ones as `damaged`.

    Raises EngineError, Trimmed.
    """
    at, begun = 1, False
    while at <= room.top:
        oldest, missing, *page = engine.run(_PAGE, (), room.name, at, room.top, 1, _PAGE_BYTES)
        if oldest > at:
            if begun:
                raise Trimmed(f"posts of {room.name} were deleted while they were read")
            at = oldest
        begun = True
        for time, fields in zip(page[::2], page[1::2], strict=True):
            yield _stored_post(at, time, fields)
            at += 1
        if missing:
            yield StoredPost(position=at, damaged=True)
            at += 1


def records(engine: Engine) -> Iterator[RecordLine]:
    """Yield all records, by kind and id. Raises EngineError."""
    every = {key for page in scan(engine, "SCAN", "0", "MATCH", keys.records("*")) for key in page}
    for key in sorted(every):
        kind = key.removeprefix(keys.records("").encode()).decode()
        ids = sorted({each for page in scan(engine, "HSCAN", key, "0") for each in page[::2]})
        for start in range(0, len(ids), _MOST):
            some = ids[start : start + _MOST]
            for each, value in zip(some, engine.call("HMGET", key, *some), strict=True):
                if value is not None:  # deleted meanwhile
                    yield RecordLine(kind=kind, id=each.decode(), value=value)


def damage(engine: Engine) -> Iterator[str]:
    """Yield a line for each problem. Raises EngineError, Trimmed."""
    yield from unlisted(engine)
    for room in rooms(engine):
        for post in posts(engine, room):
            if post.damaged:
                yield f"{room.name}: the post at position {post.position} is damaged or missing"


def unlisted(engine: Engine) -> Iterator[str]:
    """Yield a line for each room with posts that is not in the list of rooms.

    Raises EngineError.
    """
    start = keys.room("").encode()
    for page in scan(engine, "SCAN", "0", "MATCH", keys.room("*")):
        names = [key.removeprefix(start) for key in page]
        scores = engine.pipeline([("ZSCORE", keys.ROOMS, name) for name in names])
        for name, score in zip(names, scores, strict=True):
            if score is None:
                yield f"posts of {name.decode()} are missing"


def answers(engine: Engine, *commands: Sequence[Part]) -> list[Any]:
    """Return the answers to some commands. Raises EngineError.

    Without a transaction: an engine whose memory is full takes none, not even to read.
    """
    found = engine.pipeline(commands)
    for answer in found:
        if isinstance(answer, Rejected):
            raise answer
    return found


def scan(engine: Engine, *command: Part) -> Iterator[list[bytes]]:
    """Yield the pages of a SCAN or an HSCAN, whose cursor is "0"; an item may be there twice.

    Raises EngineError.
    """
    place, cursor = command.index("0"), b""
    while cursor != b"0":
        rest = (*command[:place], cursor or "0", *command[place + 1 :], "COUNT", 1_000)
        cursor, page = engine.call(*rest)
        yield page


def _top(stream: list[Any] | Rejected) -> int:
    """Return the newest position of a room, from what XINFO says of its stream."""
    if isinstance(stream, Rejected):
        if "no such key" in stream.text:
            return 0
        raise stream
    told = dict(zip(stream[::2], stream[1::2], strict=True))
    return int(told[b"last-generated-id"].removeprefix(b"0-"))


def _stored_post(position: int, time: bytes | None, packed: bytes) -> StoredPost:
    """Return a post, from its time and fields, or without a time from its latest change."""
    try:
        if time is not None:
            fields = FIELDS.decode(packed)
            return StoredPost(
                position=position, time=int(time), author=fields.author, text=fields.text,
                client=content(fields.client).hex(), key=fields.key, account=fields.account,
                hook=fields.hook,
            )  # fmt: skip
        changed = CHANGED.decode(packed)
        fields = FIELDS.decode(content(changed.fields))
        return StoredPost(
            position=position, time=changed.time, author=fields.author, text=changed.text,
            client=content(fields.client).hex(), key=fields.key, account=fields.account,
            hook=fields.hook, change=changed.change, changed_top=changed.top,
            changed_by=changed.by, changed_account=changed.account or None,
            redacted=changed.redacted,
        )  # fmt: skip
    except ValueError:
        return StoredPost(position=position, damaged=True)
