"""What is begun and has to be finished, although the session that asked for it may be ended."""

from collections.abc import Callable
from typing import Final, TypeVar

import gevent

from geventchat.protocol.errors import Refused

_SECONDS: Final = 60.0
"""How long it may take: a disk may hang."""

_T = TypeVar("_T")


def shielded(function: Callable[[], _T]) -> _T:
    """Run a function to its end and give what it gives. Waits. Raises what it raises.

    It runs in a greenlet of its own, so that an Ending which is thrown at who waits for it here
    does not leave it half done: a rule that is made and not on disk, a topic stored and not told.
    """
    running = gevent.spawn(_outcome, function)
    running.name = "shielded"
    outcome = running.get(timeout=_SECONDS)
    if isinstance(outcome, Refused):
        raise outcome
    return outcome


def _outcome(function: Callable[[], _T]) -> _T | Refused:
    """Give what a function gives or is refused, which is no reason to log that a greenlet died."""
    try:
        return function()
    except Refused as refusal:
        return refusal
