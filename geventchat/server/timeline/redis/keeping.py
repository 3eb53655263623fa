"""Writes records on an engine, and tells what other nodes wrote."""

import logging
import time
from collections.abc import Sequence
from typing import Final

import gevent
import msgspec
from gevent.lock import BoundedSemaphore
from msgspec import Raw

from geventchat.protocol.errors import Refused
from geventchat.server.timeline import Behind, RecordChange
from geventchat.server.timeline.redis.asking import refusal
from geventchat.server.timeline.redis.backoff import pauses
from geventchat.server.timeline.redis.engine import Away, EngineError, InDoubt
from geventchat.server.timeline.redis.feed import Feed
from geventchat.server.timeline.redis.life import Fenced, Life, LifeEnded
from geventchat.server.timeline.redis.rooms import feed_id
from geventchat.server.timeline.redis.scripts import Script
from geventchat.server.timeline.redis.stored import content, string
from geventchat.server.timeline.redis.writer import WAIT_SECONDS, Writer

_HEAR_SECONDS: Final = 10.0
"""How long the feed may take to bring what another node wrote."""

KEEP: Final = Script("keep")
_records: Final = msgspec.msgpack.Decoder(list[tuple[str, str, Raw]])
_DELETED: Final = b"\xc2"

_log = logging.getLogger(__name__)


class Keeping:
    """The records that this node writes. Everything waits unless it says so."""

    def __init__(self, writer: Writer, life: Life, feed: Feed) -> None:
        self._writer = writer
        self._life = life
        self._feed = feed
        self._number = 0
        self._one = BoundedSemaphore()

    def keep(self, changes: Sequence[RecordChange]) -> None:
        """Write records, all of them or none. Raises Refused `storage`, Behind."""
        heard = self._heard()  # when they were encoded
        blob = packed(changes)
        with self._one:  # one after the other: what is late must not undo what is newer
            self._number += 1
            until, waits = time.monotonic() + WAIT_SECONDS, pauses()
            while True:
                try:
                    written, entry = self._writer.run(KEEP, self._number, blob, heard)
                except (Away, InDoubt) as error:
                    if self._writer.closed:  # whoever closed it knows
                        raise refusal() from None
                    if time.monotonic() > until:
                        raise _refusal(error) from None
                    gevent.sleep(next(waits))
                except (EngineError, Fenced) as error:
                    raise _refusal(error) from None
                except LifeEnded:
                    raise Behind from None
                else:
                    break
        place = feed_id(entry)
        if written:
            self._life.note(place)
        elif self._feed.wait(place, _HEAR_SECONDS):
            raise Behind
        else:
            raise _refusal("what another node has written was not heard")

    def _heard(self) -> str:
        """Return up to which entry of the feed all is known that others have written."""
        if self._life.adopted == self._life.epoch:
            return "{}-{}".format(*self._feed.passed)
        return f"{self._life.number}-0"

    def close(self, seconds: float) -> None:
        """Wait for records that are being written, for some seconds at most."""
        if self._one.acquire(timeout=seconds):
            self._one.release()


def packed(changes: Sequence[RecordChange]) -> bytes:
    """Return changes of records as the script takes them."""
    records = [
        (kind, number, False if value is None else string(value)) for kind, number, value in changes
    ]
    return msgspec.msgpack.encode(records)


def unpacked(data: bytes) -> list[RecordChange]:
    """Return changes of records as an entry of the feed has them. Raises ValueError."""
    return [
        (kind, number, None if bytes(value) == _DELETED else bytes(content(value)))
        for kind, number, value in _records.decode(data)
    ]


def _refusal(error: object) -> Refused:
    _log.error("writing records failed: %s", error)
    return refusal()
