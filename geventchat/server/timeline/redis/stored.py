"""Posts and changes as the engine stores them. Nothing here waits."""

from typing import Final

import msgspec
from msgspec import Raw, Struct

from geventchat.protocol.events import Post
from geventchat.server.timeline.changes import Change, event_of


class Fields(Struct, array_like=True, frozen=True, gc=False):
    """The field `p` of an entry in a room's stream."""

    author: str
    text: str
    client: Raw
    key: str | None
    account: str | None
    hook: bool


class Changed(Struct, array_like=True, frozen=True, gc=False):
    """The latest change of a post, and the post without its text."""

    change: int
    top: int
    """The newest position of the room when it was made."""
    by: str
    account: str
    """Of `by`; empty: none."""
    redacted: bool
    text: str
    time: int
    """Of the post."""
    fields: Raw
    """What `Fields` has, as a string of the engine's."""


pack: Final = msgspec.msgpack.Encoder().encode
FIELDS: Final = msgspec.msgpack.Decoder(Fields)
CHANGED: Final = msgspec.msgpack.Decoder(Changed)


def post_of(room: str, position: int, time: bytes | None, stored: bytes) -> Post:
    """Return a post, from its time and fields, or without a time from its latest change.

    Raises ValueError if it is damaged.
    """
    if time is None:
        return _post_of(room, position, CHANGED.decode(stored))
    fields = FIELDS.decode(stored)
    return Post(
        room, position, fields.author, int(time), fields.text, fields.key, fields.account,
        hook=fields.hook,
    )  # fmt: skip


def change_of(room: str, position: int, stored: bytes) -> Change:
    """Return the latest change of a post. Raises ValueError if it is damaged."""
    changed = CHANGED.decode(stored)
    return event_of(_post_of(room, position, changed), changed.by, changed.account or None)


def _post_of(room: str, position: int, changed: Changed) -> Post:
    fields = FIELDS.decode(content(changed.fields))
    return Post(
        room, position, fields.author, changed.time, changed.text, fields.key, fields.account,
        changed.change, changed.redacted, fields.hook,
    )  # fmt: skip


def string(data: bytes) -> Raw:
    """Return bytes packed as a string: the engine knows no others."""
    size = len(data)
    if size < 32:
        head = bytes((0xA0 | size,))
    elif size < 1 << 8:
        head = bytes((0xD9, size))
    else:
        head = b"\xda" + size.to_bytes(2) if size < 1 << 16 else b"\xdb" + size.to_bytes(4)
    return Raw(head + data)


def content(packed: Raw) -> memoryview:
    """Return the bytes of a string that need not be UTF-8, as the engine packs it."""
    data = memoryview(packed)
    size = {0xD9: 2, 0xDA: 3, 0xDB: 5}.get(data[0], 1)
    return data[size:]
