"""Runs functions that must complete even if their session ends meanwhile."""

from collections.abc import Callable
from typing import Final, TypeVar

import gevent

from geventchat.protocol.errors import STORAGE, Ending, Refused

_SECONDS: Final = 60.0
"""Timeout: a disk may hang."""

_T = TypeVar("_T")


def shielded(function: Callable[[], _T]) -> _T:
    """Run a function to its end and return its result. Waits, for up to a minute.

    Raises what it raises, and Ending if it takes longer.
    It runs in a greenlet of its own, so that an Ending thrown into the waiting greenlet does not
    leave it half done: a rule in force but not on disk, a topic stored but not announced.
    """
    running = gevent.spawn(_outcome, function)
    running.name = "shielded"
    running.join(_SECONDS)
    if not running.ready():
        raise Ending(STORAGE)
    outcome = running.get()
    if isinstance(outcome, Refused):
        raise outcome
    return outcome


def _outcome(function: Callable[[], _T]) -> _T | Refused:
    """Return the result or the Refused of a function; a raised one would be logged as a crash."""
    try:
        return function()
    except Refused as refusal:
        return refusal
