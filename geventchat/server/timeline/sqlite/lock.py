"""The lock that allows one server at a time to use a database, with its process id."""

import errno
import fcntl
import os
from typing import IO

from geventchat.config import BadSetting


def lock(path: str) -> IO[str]:
    """Lock a database, also under other names of it, until the returned file is closed.

    Raises BadSetting, which names the process that holds the lock.
    """
    if os.path.isdir(path):
        raise unusable(path, os.strerror(errno.EISDIR))
    try:
        name = os.path.realpath(path) + ".lock"
        taken = open(name, "a+", encoding="ascii", opener=_private)  # noqa: SIM115
    except OSError as error:
        raise unusable(path, error.strerror or str(error)) from None
    try:
        fcntl.flock(taken, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Not a lock file that another server has just removed.
        ours = os.path.samestat(os.fstat(taken.fileno()), os.stat(taken.name))
    except OSError:
        ours = False
    if not ours:
        taken.seek(0)
        holder = taken.read().strip() or "unknown"
        taken.close()
        raise unusable(path, f"in use by another server, process {holder}")
    taken.truncate(0)
    taken.write(f"{os.getpid()}\n")
    taken.flush()
    return taken


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def unusable(path: str, reason: str) -> BadSetting:
    """Return the error for a database that cannot be used."""
    return BadSetting("timeline", f"sqlite:{path}", reason)
