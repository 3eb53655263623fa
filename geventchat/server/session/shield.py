"""Runs functions that must complete even if their session ends meanwhile."""

from collections.abc import Callable
from typing import Final, TypeVar

import gevent

from geventchat.protocol.errors import Refused

_SECONDS: Final = 60.0
"""Timeout: a disk may hang."""

_T = TypeVar("_T")


def shielded(function: Callable[[], _T]) -> _T:
    """Run a function to its end and return its result. Waits. Raises what it raises.

    It runs in a greenlet of its own, so that an Ending thrown into the waiting greenlet does not
    leave it half done: a rule in force but not on disk, a topic stored but not announced.
    """
    running = gevent.spawn(_outcome, function)
    running.name = "shielded"
    outcome = running.get(timeout=_SECONDS)
    if isinstance(outcome, Refused):
        raise outcome
    return outcome


def _outcome(function: Callable[[], _T]) -> _T | Refused:
    """Return the result or the Refused of a function; a raised one would be logged as a crash."""
    try:
        return function()
    except Refused as refusal:
        return refusal
