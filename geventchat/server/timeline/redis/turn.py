"""A turn as turn.lua takes it, and what became of it as a Batch. Nothing here waits."""

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from msgspec import Raw, Struct, msgpack

from geventchat.protocol import names
from geventchat.protocol.events import Edited, Post, Redacted, Topic
from geventchat.server.timeline import Batch, Change, Submission
from geventchat.server.timeline.changes import NO_POST, OF_OTHERS, REDACTED
from geventchat.server.timeline.redis.stored import FIELDS, Fields, content, pack, string

_STORED, _REPEATED, _CONFLICT, _CHANGED, _UNCHANGED, _REFUSED, _FAILED, _SET = range(8)
"""Results, as turn.lua names them."""
_REFUSALS: Final = {1: NO_POST, 2: OF_OTHERS, 3: REDACTED}


class _Say(Struct, array_like=True, tag=0, frozen=True, gc=False):
    room: str
    fields: Raw
    """What is stored of the post: Fields, as a string."""
    slot: Raw
    """Client and key as a string; false: it has no key."""


class _Topic(Struct, array_like=True, tag=1, frozen=True, gc=False):
    room: str
    topic: str
    by: str
    listed: bool


class _Edit(Struct, array_like=True, tag=2, frozen=True, gc=False):
    room: str
    position: int
    text: str
    by: str
    account: str
    """Empty: none."""
    client: Raw
    may_redact_any: bool


class _Redact(_Edit, tag=3, frozen=True, gc=False):
    pass


_Item: TypeAlias = _Say | _Topic | _Edit | _Redact

_NO_SLOT: Final = Raw(pack(False))
_items: Final = msgpack.Decoder(list[_Item])
_results: Final = msgpack.Decoder(list[list[int]])


def packed(submitted: Iterable[Submission]) -> bytes:
    """Return submissions as the script takes them."""
    return pack([_item(each) for each in submitted])


def unpacked(turn: bytes) -> list[Submission]:
    """Return the submissions of a turn that another process packed; their numbers are 0."""
    return [_submission(each) for each in _items.decode(turn)]


def batch(submitted: Sequence[Submission], time: int, results: bytes) -> Batch:
    """Return what became of a turn at a time in ms since 1970; of number 0 only the entries."""
    batch = Batch()
    entries = batch.entries
    for each, result in zip(submitted, _results.decode(results), strict=True):
        what, number = result[0], each.number
        if what == _STORED:
            post = Post(
                each.room, result[1], each.author, time, each.text, each.key, each.account,
                hook=each.hook,
            )  # fmt: skip
            entries.append((post, number))
        elif what == _CHANGED:
            entries.append((_change(each, result[1]), number))
        elif what == _SET:
            entries.append((Topic(room=each.room, topic=each.text, by=each.author), number))
        elif number:
            _add_verdict(batch, each, result)
    return batch


def _add_verdict(batch: Batch, submission: Submission, result: Sequence[int]) -> None:
    what, number = result[0], submission.number
    if what == _REPEATED:
        batch.repeated.append((number, result[1]))
    elif what == _CONFLICT:
        batch.conflicts.append(number)
    elif what == _UNCHANGED:
        batch.unchanged.append((number, _change(submission, result[1])))
    elif what == _REFUSED:
        batch.refused.append((number, _REFUSALS[result[1]]))
    else:
        batch.failed.append(number)


def _change(submission: Submission, number: int) -> Change:
    room, position = submission.room, submission.position
    by, account = submission.author, submission.account
    if submission.kind == "redact":
        return Redacted(room=room, position=position, change=number, by=by, account=account)
    text = submission.text
    return Edited(room=room, position=position, change=number, text=text, by=by, account=account)


def _item(each: Submission) -> _Item:
    room, author, client, key, account = each.room, each.author, each.client, each.key, each.account
    if each.kind == "say":
        fields = Fields(author, each.text, string(client), key, account, each.hook)
        slot = _NO_SLOT if key is None else string(client + key.encode())
        return _Say(room, string(pack(fields)), slot)
    if each.kind == "topic":
        return _Topic(room, each.text, author, names.listed(room))
    kind, text = (_Edit, each.text) if each.kind == "edit" else (_Redact, "")
    return kind(
        room, each.position, text, author, account or "", string(client), each.may_redact_any
    )


def _submission(item: _Item) -> Submission:
    if isinstance(item, _Say):
        said = FIELDS.decode(content(item.fields))
        return Submission(
            0, item.room, said.author, said.text, bytes(content(said.client)), said.key,
            account=said.account, hook=said.hook,
        )  # fmt: skip
    if isinstance(item, _Topic):
        return Submission(0, item.room, item.by, item.topic, kind="topic")
    return Submission(
        0, item.room, item.by, item.text, bytes(content(item.client)),
        kind="redact" if isinstance(item, _Redact) else "edit", account=item.account or None,
        position=item.position, may_redact_any=item.may_redact_any,
    )  # fmt: skip
