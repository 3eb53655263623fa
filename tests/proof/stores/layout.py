"""What an engine has, by the layout of its keys: posts, records, texts."""

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Raw, Struct

from tests.proof.checker import Run, StoredPost
from tests.proof.contents import run_of

Call: TypeAlias = Callable[..., Any]


class _Post(Struct, array_like=True):
    author: str
    text: str
    client: Raw
    key: str | None
    account: str | None
    hook: bool


class _Change(Struct, array_like=True):
    number: int
    top: int
    by: str
    account: str
    redacted: bool
    text: str
    time: int
    post: Raw


_POST: Final = msgspec.msgpack.Decoder(_Post)
_CHANGE: Final = msgspec.msgpack.Decoder(_Change)


def read(call: Call) -> Run:
    """Return what is stored, still without what the clients logged."""
    epoch = call("HGET", "{gc}:life", "epoch").decode()
    trimmed = _oldest(call)
    posts: list[StoredPost] = []
    leftover: list[str] = []
    for name in call("ZRANGE", "{gc}:rooms", 0, -1):
        room = name.decode()
        posts += _posts(call, room)
        leftover += _leftover(call, room, trimmed.get(room, 1))
    oldest = _oldest(call)  # again: a server may trim while this reads
    posts = [
        post
        for post in posts
        if not trimmed.get(post.room, 1) <= post.position < oldest.get(post.room, 1)
    ]
    records: dict[str, dict[str, Any]] = {}
    for key in call("KEYS", "{gc}:records:*"):
        kind = key.decode().removeprefix("{gc}:records:")
        values = _hash(call, key).items()
        records[kind] = {each.decode(): msgspec.msgpack.decode(value) for each, value in values}
    run = run_of(epoch, posts, records)
    run.oldest = {run.named(room): first for room, first in oldest.items()}
    run.leftover = leftover
    return run


def _oldest(call: Call) -> dict[str, int]:
    """Return the position of the oldest post of each room that was trimmed."""
    return {room.decode(): int(first) for room, first in _hash(call, "{gc}:oldest").items()}


def _posts(call: Call, room: str) -> Iterator[StoredPost]:
    """Yield the posts of a room: each is in its stream, was moved out of it, or was changed."""
    fields = {
        int(place.removeprefix(b"0-")): entry[entry.index(b"p") + 1]
        for place, entry in call("XRANGE", f"{{gc}}:room:{room}", "-", "+")
    }
    for at, moved in _hash(call, f"{{gc}}:moved:{room}").items():
        fields[int(at)] = moved.partition(b" ")[2]
    changed = {int(at): value for at, value in _hash(call, f"{{gc}}:changed:{room}").items()}
    for position in sorted(fields.keys() | changed.keys()):
        if position in changed:
            change = _CHANGE.decode(changed[position])
            post = _POST.decode(_content(change.post))
            text, number, redacted = change.text, change.number, int(change.redacted)
        else:
            post = _POST.decode(fields[position])
            text, number, redacted = post.text, 0, 0
        yield StoredPost(room, position, post.key, text, number, redacted, post.account)


def _leftover(call: Call, room: str, oldest: int) -> Iterator[str]:
    """Yield what is stored of posts that were deleted."""
    for kind in ("changed", "moved"):
        for at in call("HKEYS", f"{{gc}}:{kind}:{room}"):
            if int(at) < oldest:
                yield f"{room} {int(at)} is in {kind}, and trimmed"
    for position in map(int, call("HVALS", f"{{gc}}:keys:{room}")):
        if position < oldest:
            yield f"the key of {room} {position}, which is trimmed"
    for position in map(int, call("ZRANGE", f"{{gc}}:order:{room}", 0, -1)):
        if position < oldest:
            yield f"the order of {room} {position}, which is trimmed"


def dump(call: Call) -> bytes:
    """Return everything that is in the memory of the engine, but not in its buffers."""
    return b"".join(call("DUMP", key) or b"" for key in call("KEYS", "*"))


def _hash(call: Call, key: str | bytes) -> dict[bytes, bytes]:
    flat = call("HGETALL", key)
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _content(packed: Raw) -> memoryview:
    """Return the bytes of a msgpack string."""
    data = memoryview(packed)
    return data[{0xD9: 2, 0xDA: 3, 0xDB: 5}.get(data[0], 1) :]
