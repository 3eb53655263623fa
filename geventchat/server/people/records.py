"""Writes what changed in memory to disk: many changes with one commit.

What is kept changes in memory first, in a stretch that does not switch; then whoever changed it
waits here until it is on disk. So the file always follows the memory: a write that failed is tried
again with the next. A record that cannot be encoded is a bug of ours, and is not tried again.

Where several servers have one store, another may have written a record first. Its state has come
into the memory then, and what is there now is written, so that no change is lost.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

import gevent
import msgspec
from gevent.event import AsyncResult

from geventchat.protocol.errors import Refused
from geventchat.server.timeline import Behind, RecordChange

_RETRY_SECONDS: Final = 1.0
_MOST_TRIES: Final = 10
"""How often in a row another server may be faster with one of the records of a write."""

_T = TypeVar("_T")
_encoder: Final = msgspec.msgpack.Encoder()

_log = logging.getLogger(__name__)


class Kept(Protocol):
    """Something that is kept as a record."""

    @property
    def record(self) -> tuple[str, str]:
        """Its kind and id, which never change."""

    def value(self) -> object:
        """What is written of it now; None: it is deleted."""


class Records:
    """The records that are not on disk yet."""

    def __init__(self, keep: Callable[[Sequence[RecordChange]], None]) -> None:
        """`keep` writes records and waits until they are on disk."""
        self._keep = keep
        self._changed: dict[tuple[str, str], Kept] = {}
        self._under_way: dict[tuple[str, str], Kept] = {}
        """Those that are being written."""
        self._written: AsyncResult[Refused | None] | None = None
        """Set when the changes that are not yet being written are on disk, or failed."""
        self._writing = False
        self._closed = False

    def save(self, *changed: Kept) -> None:
        """Wait until the present state of these is on disk. Raises Refused `storage`.

        They are written even if the caller stops waiting. One that cannot be encoded raises here,
        and none of them is written.
        """
        for each in changed:
            encoded(each.value())
        wait_saved(self.note(*changed))

    def settle(self, kept: Kept) -> None:
        """Wait until every change of this record is on disk, also those of others. Raises Refused.

        Does not wait if it is there already.
        """
        while kept.record in self._changed or kept.record in self._under_way:
            self.save()

    def note(self, *changed: Kept) -> "AsyncResult[Refused | None]":
        """Have these written soon; return what is set when they are. Never waits.

        One that cannot be encoded is logged, and not written.
        """
        for each in changed:
            self._changed[each.record] = each
        if self._written is None:
            self._written = AsyncResult()
        if not self._writing:
            self._writing = True
            gevent.spawn(self._write).name = "records"
        return self._written

    def settled(self) -> None:
        """Wait until all that was noted before is on disk. Raises Refused `storage`.

        Does not wait if it is there already.
        """
        if self._writing:
            self.save()

    def close(self) -> None:
        """Write nothing any more: the timeline is closed. Whoever waits is refused. Never waits."""
        self._closed = True
        if lost := len(self._changed | self._under_way):
            _log.error("%d records were not written in time", lost)

    def hear(self, kept: Kept, value: bytes | None) -> None:
        """Follow that another server has written a record, which is this now. Never waits.

        Its state here is what both have changed. It is written only if that differs, and was to be.
        """
        for pending in self._changed, self._under_way:
            if kept.record in pending:
                pending[kept.record] = kept
                if encoded(kept.value()) == value:
                    del pending[kept.record]

    def _write(self) -> None:
        while self._written is not None or (self._changed and not self._closed):
            changed, self._changed = self._changed, {}
            self._under_way = changed
            written, self._written = self._written, None
            refusal = None
            try:
                self._keep_present(changed)
            except Refused as refused:
                refusal = refused
            except Exception:
                _log.exception("writing %d records failed", len(changed))
                refusal = _refusal()
            self._under_way = {}
            if refusal is not None:
                self._changed = changed | self._changed
            if written is not None:
                written.set(refusal)
            if refusal is not None and not self._closed:
                gevent.sleep(_RETRY_SECONDS)
        self._writing = False

    def _keep_present(self, changed: dict[tuple[str, str], Kept]) -> None:
        """Write the present state of records. Waits. Raises Refused `storage`."""
        if self._closed:
            raise _refusal()
        for _ in range(_MOST_TRIES):
            if not (changes := _changes(changed)):
                return
            try:
                self._keep(changes)
            except Behind:
                continue
            return
        _log.error("writing %d records failed: other servers write them too", len(changed))
        raise _refusal()


def _refusal() -> Refused:
    return Refused("storage", "The server could not store that. Try again.")


def _changes(changed: dict[tuple[str, str], Kept]) -> list[RecordChange]:
    """Return the present state of records, and drop those that cannot be encoded."""
    changes: list[RecordChange] = []
    for (kind, number), each in list(changed.items()):
        try:
            changes.append((kind, number, encoded(each.value())))
        except Exception:
            _log.exception("a record of kind %s cannot be encoded", kind)
            del changed[kind, number]
    return changes


def wait_saved(noted: "AsyncResult[Refused | None]") -> None:
    """Wait until what was noted is on disk. Raises Refused `storage`.

    What is decided is noted while it is decided, and waited for afterwards: others may decide
    meanwhile, and all of it is written together.
    """
    refusal = noted.get()
    if refusal is not None:
        raise refusal


def encoded(value: object) -> bytes | None:
    """Return what is written of a record; None: it is deleted."""
    return None if value is None else _encoder.encode(value)


def decoded(kind: type[_T], value: bytes) -> _T:
    """Return a record as it was written. Raises msgspec.DecodeError."""
    return msgspec.msgpack.decode(value, type=kind)
