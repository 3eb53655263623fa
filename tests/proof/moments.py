"""The moments at which a server can be killed."""

import functools
import os
import signal
from collections.abc import Callable
from typing import Any, Final

from geventchat.server.chat.delivery import Delivery
from geventchat.server.chat.walk import Walk
from geventchat.server.search.index import Index
from geventchat.server.server import Server
from geventchat.server.timeline import Timeline
from geventchat.server.timeline.redis import RedisTimeline
from geventchat.server.timeline.redis.cleaning import Cleaning
from geventchat.server.timeline.redis.keeping import Keeping
from geventchat.server.timeline.redis.life import Life
from geventchat.server.timeline.redis.storing import Storing
from geventchat.server.timeline.redis.writer import Writer
from geventchat.server.timeline.sqlite import schema
from geventchat.server.timeline.sqlite.rollback_guard import RollbackGuard
from geventchat.server.timeline.sqlite.store import Store

FIRST_BOOT: Final = "at first boot"
_Moments = dict[str, tuple[type, str, bool]]
"""A method, and whether it is after the call, or before."""
_COMMON: Final[_Moments] = {
    "before a batch is delivered": (Timeline, "_deliver", False),
    "while a room takes its turn": (Walk, "step", True),
    "after a walk through a room": (Delivery, "_walk", True),
    "at the start, before it listens": (Server, "start", False),
    "when it begins to end": (Server, "stop", False),
}
SQLITE: Final[_Moments] = _COMMON | {
    "before a batch is stored": (Store, "store", False),
    "after a batch is stored": (Store, "store", True),
    "before the guard is written": (RollbackGuard, "update", False),
    "after the guard is written": (RollbackGuard, "update", True),
    "before records of people are stored": (Store, "keep", False),
    "after records of people are stored": (Store, "keep", True),
    "after a step of the index for search": (Index, "step", True),
    "while the index forgets texts": (Index, "_merge", False),
    "before a trim": (Store, "trim", False),
    "after a trim": (Store, "trim", True),
    "before the log is emptied of redacted texts": (Store, "begin_cleaning", False),
    "before remains of them are removed": (Store, "remove_remains", False),
}
ENGINE: Final[_Moments] = _COMMON | {
    "after it is registered": (Life, "register", True),
    "before a turn is sent": (Storing, "_store", False),
    "after a script is answered": (Writer, "run", True),
    "before an entry of the feed is heard": (RedisTimeline, "_hear", False),
    "after an entry of the feed is heard": (RedisTimeline, "_hear", True),
    "before records of people are sent": (Keeping, "keep", False),
    "after records of people are stored": (Keeping, "keep", True),
    "after a room is opened": (RedisTimeline, "open", True),
    "before remains of a redaction are removed": (Cleaning, "step", False),
    "before the file is rewritten": (Cleaning, "_rewrite", False),
    "after the file is rewritten": (Cleaning, "_rewrite", True),
}
MOMENTS: Final[_Moments] = SQLITE | ENGINE


def _die(*_: object) -> None:
    """Kill this process with SIGKILL: nothing is flushed, and no client is notified."""
    os.kill(os.getpid(), signal.SIGKILL)


def _watch(of: type, name: str, after: bool, count: int) -> None:
    real: Callable[..., Any] = getattr(of, name)
    left = [count]

    @functools.wraps(real)
    def watched(*arguments: Any, **named: Any) -> Any:
        left[0] -= 1
        if not after and left[0] <= 0:
            _die()
        result = real(*arguments, **named)
        if left[0] <= 0:
            _die()
        return result

    setattr(of, name, watched)


def kill_at(moment: str) -> None:
    """Kill this process at a moment; `before a trim:3` is the third time."""
    if moment == FIRST_BOOT:
        schema._run = _die  # type: ignore[assignment]
        _watch(Life, "register", after=True, count=1)
        return
    name, _, count = moment.partition(":")
    _watch(*MOMENTS[name], int(count))
