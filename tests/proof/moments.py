"""The moments at which a server can be killed."""

import functools
import os
import signal
from collections.abc import Callable
from typing import Any, Final

from geventchat.server.chat.delivery import Delivery
from geventchat.server.chat.turn import Turn
from geventchat.server.server import Server
from geventchat.server.timeline import Timeline
from geventchat.server.timeline.sqlite import schema
from geventchat.server.timeline.sqlite.rollback_guard import RollbackGuard
from geventchat.server.timeline.sqlite.store import Store

FIRST_BOOT: Final = "at first boot"
MOMENTS: Final[dict[str, tuple[type, str, bool]]] = {
    "before a batch is stored": (Store, "store", False),
    "after a batch is stored": (Store, "store", True),
    "before a batch is delivered": (Timeline, "_deliver", False),
    "while a room takes its turn": (Turn, "put", True),
    "after a walk through a room": (Delivery, "_walk", True),
    "before the guard is written": (RollbackGuard, "update", False),
    "after the guard is written": (RollbackGuard, "update", True),
    "before a trim": (Store, "trim", False),
    "after a trim": (Store, "trim", True),
    "at the start, before it listens": (Server, "start", False),
    "when it begins to end": (Server, "stop", False),
}


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
        return
    name, _, count = moment.partition(":")
    _watch(*MOMENTS[name], int(count))
