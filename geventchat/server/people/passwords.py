"""Passwords of accounts: hashed and verified by argon2 in native threads.

One takes some 30 ms of a core and 19 MiB, on purpose (the second of the parameters that OWASP
recommends). So few run at a time, at a low priority, and few wait: guessing as fast as it can
costs the chat at most a tenth of a core, however many guess.
"""

import os
import threading
from collections.abc import Callable
from typing import Final, TypeVar

import gevent
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from gevent.lock import Semaphore
from gevent.threadpool import ThreadPool

from geventchat.protocol.errors import Refused

_hasher: Final = PasswordHasher(time_cost=2, memory_cost=19 << 10, parallelism=1)
_THREADS: Final = 1
_DECOY: Final = (
    "$argon2id$v=19$m=19456,t=2,p=1$XfZaIrwar"
    "1erbDg5vTCa7w$jXsF9kwiMgKlkhyjMOEHJGWhTr0e6oEvqbpAuCfV6AQ"
)
"""What a password is compared with if there is no such account: of a text that nobody knows."""
_MOST_WAITING: Final = 64
"""Passwords on their way at a time: 2 s of work."""
_SECONDS: Final = 30.0
_NICENESS: Final = 10
"""A tenth of a core that others use as well. At 19 it was a seventieth: they stopped it."""

_T = TypeVar("_T")


class Passwords:
    """Hashes and verifies passwords, one after the other."""

    def __init__(self) -> None:
        self._pool, self._turns = ThreadPool(_THREADS), Semaphore(_THREADS)
        self._waiting = 0

    def hash(self, password: str) -> str:
        """Return what is kept of a password. Waits. Raises Refused `slow_down`."""
        return self._run(_hash, password)

    def matches(
        self, password: str, kept: str | None, check: Callable[[], None] | None = None
    ) -> bool:
        """Return whether a password is the one of which `kept` is kept; None: of no account.

        Waits, as long for one as for the other. Raises Refused `slow_down`, and what `check`
        raises, which is called when it is this password's turn: what came of the ones before is
        known then.
        """
        matched = self._run(_matches, password, kept or _DECOY, check=check)
        return matched and bool(kept)

    def close(self) -> None:
        """Stop the threads."""
        self._pool.kill()

    def _run(
        self,
        function: Callable[..., _T],
        *arguments: str,
        check: Callable[[], None] | None = None,
    ) -> _T:
        if self._waiting >= _MOST_WAITING:
            raise Refused("slow_down", "Too many are signing in. Try again soon.", retry_ms=2_000)
        self._waiting += 1
        try:
            late = Refused("slow_down", "Try again soon.", retry_ms=2_000)
            with gevent.Timeout(_SECONDS, late), self._turns:
                if check is not None:
                    check()
                outcome: _T = self._pool.apply(function, arguments)
                return outcome
        finally:
            self._waiting -= 1


def _hash(password: str) -> str:
    _be_nice()
    return _hasher.hash(password)


def _matches(password: str, kept: str) -> bool:
    _be_nice()
    try:
        return _hasher.verify(kept, password)
    except (VerificationError, InvalidHashError):
        return False


def _be_nice() -> None:
    """Give this thread, which may be a new one, a low priority; only Linux can."""
    if hasattr(os, "setpriority") and os.uname().sysname == "Linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
