"""Reports of users, to Locust and to the tally of this process."""

import itertools
import logging
from typing import Final

from locust import events

from loadtests.support.measures import tally
from loadtests.support.order import VIOLATIONS, Violation

MESSAGES: Final = frozenset({"acknowledged", "delivered", "direct"})
"""What enters Locust's percentiles. The rest, as connecting, is counted there without a time: its
charts put all in one row, and a slow connect is no late message. The Chat tab times both."""

_MOST_LOGGED: Final = 10
_logged: Final = itertools.count()

_log: Final = logging.getLogger(__name__)


class Broken(Exception):
    """A failure. Its text is the same each time, so that Locust can group it."""


def took(kind: str, name: str, seconds: float) -> None:
    """Record a success and how long it took."""
    if tally.timing:
        tally.time(name, seconds)
        _fire(kind, name, seconds * 1000 if name in MESSAGES else None)


def failed(kind: str, name: str, error: str | Exception) -> None:
    """Record a failure, which fails the run."""
    tally.counts["failures"] += 1
    _fire(kind, name, None, Broken(error) if isinstance(error, str) else error)


def violated(violation: Violation, room: str, position: int) -> None:
    """Record a violation of order; the first ones are logged."""
    tally.counts[violation] += 1
    failed("order", violation, VIOLATIONS[violation])
    if next(_logged) < _MOST_LOGGED:
        _log.warning("%s: post %d of %s", violation, position, room)


def _fire(kind: str, name: str, milliseconds: float | None, error: Exception | None = None) -> None:
    events.request.fire(
        request_type=kind,
        name=name,
        response_time=milliseconds,
        response_length=0,
        exception=error,
        context={},
    )
