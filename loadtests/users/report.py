"""Reports of users, to Locust and to the tally of this process."""

import itertools
import logging
import math
from typing import Final

from locust import events

from loadtests.support.measures import tally
from loadtests.support.order import VIOLATIONS, Violation

_MOST_LOGGED: Final = 10
_logged: Final = itertools.count()

_log: Final = logging.getLogger(__name__)


class Broken(Exception):
    """A failure. Its text is the same each time, so that Locust can group it."""


def took(kind: str, name: str, seconds: float) -> None:
    """Record a success and how long it took."""
    if tally.timing:
        tally.time(name, seconds)
        _fire(kind, name, seconds)


def failed(kind: str, name: str, error: str | Exception, seconds: float | None = None) -> None:
    """Record a failure, which fails the run, and how long it took if that is known."""
    tally.counts["failures"] += 1
    _fire(kind, name, seconds, Broken(error) if isinstance(error, str) else error)


def violated(violation: Violation, room: str, position: int) -> None:
    """Record a violation of order; the first ones are logged."""
    tally.counts[violation] += 1
    failed("order", violation, VIOLATIONS[violation])
    if next(_logged) < _MOST_LOGGED:
        _log.warning("%s: post %d of %s", violation, position, room)


def _fire(kind: str, name: str, seconds: float | None, error: Exception | None = None) -> None:
    # Locust prints whole milliseconds: rounded up, a short time is 1 and not nothing.
    milliseconds = None if seconds is None else math.ceil(seconds * 1000)
    events.request.fire(
        request_type=kind,
        name=name,
        response_time=milliseconds,
        response_length=0,
        exception=error,
        context={},
    )
