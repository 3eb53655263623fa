"""Asserts that a block of code never lets another greenlet run."""

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
    """Run all greenlets that are ready without waiting for time."""
    for _ in range(12):  # rounds of callbacks, more than any test needs
        gevent.sleep(0)
