"""Proof that a stretch of code never lets another greenlet run."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import greenlet


@contextmanager
def never_switches() -> Iterator[None]:
    """Fail if the greenlet that enters this is switched away from before it leaves."""
    switches: list[str] = []

    def note(event: str, greenlets: tuple[Any, Any]) -> None:
        if event in ("switch", "throw"):
            switches.append("{} from {} to {}".format(event, *greenlets))

    former = greenlet.settrace(note)
    try:
        yield
    finally:
        greenlet.settrace(former)
    assert not switches, switches


def let_run() -> None:
    """Let everything run that can run without time going by."""
    for _ in range(12):  # each lets one more round of callbacks run; none of ours takes as many
        gevent.sleep(0)
