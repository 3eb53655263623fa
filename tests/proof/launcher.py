"""A server that is killed at a chosen moment, or has a bug put in: `geventchat serve` and no other.

    python -m tests.proof.launcher MOMENT BUG serve …

MOMENT is `-`, or a name of MOMENTS and at which time of it, as `before a trim:3`; BUG is `-` or a
name of `bugs.py`. An error of the disk is not answered with the signal that would end the process.
"""

import functools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, Final

from geventchat.__main__ import main  # patches first
from geventchat.server.delivery import Delivery
from geventchat.server.room import Turn
from geventchat.server.server import Server
from geventchat.server.timeline import Timeline
from geventchat.server.timeline.sqlite import schema
from geventchat.server.timeline.sqlite.store import Store
from geventchat.server.timeline.sqlite.witness import Witness

MOMENTS: Final[dict[str, tuple[type, str, bool]]] = {
    "before a batch is stored": (Store, "store", False),
    "after a batch is stored": (Store, "store", True),
    "before a batch is delivered": (Timeline, "_deliver", False),
    "while a room takes its turn": (Turn, "put", True),
    "after a walk through a room": (Delivery, "_walk", True),
    "before the witness is written": (Witness, "saw", False),
    "after the witness is written": (Witness, "saw", True),
    "before a trim": (Store, "trim", False),
    "after a trim": (Store, "trim", True),
    "at the start, before it listens": (Server, "start", False),
    "when it begins to end": (Server, "stop", False),
}


def _die(*_: object) -> None:
    """End as by kill -9: nothing is flushed, nobody is told."""
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_at(of: type, name: str, after: bool, count: int) -> None:
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


if __name__ == "__main__":
    moment, bug = sys.argv[1:3]
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a file that may not grow is an error, no end
    if moment == "at first boot":
        schema._run = _die  # type: ignore[assignment]
    elif moment != "-":
        name, _, count = moment.partition(":")
        _kill_at(*MOMENTS[name], int(count))
    if bug != "-":
        from tests.proof import bugs

        bugs.BY_NAME[bug]()
    sys.exit(main(sys.argv[3:]))
