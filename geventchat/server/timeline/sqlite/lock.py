"""Whether a database can be used, and the lock that allows one server at a time to do so."""

import errno
import fcntl
import os
import sqlite3
from contextlib import closing
from typing import IO, Final
from urllib.parse import quote

from geventchat.config import BadSetting
from geventchat.server.timeline.sqlite.schema import identify

_TEMPORARY: Final = (
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
)  # fmt: skip


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
        raise refused(path, error) from None
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
        reason = f"in use by another server, process {holder}"
        raise BadSetting("timeline", f"sqlite:{path}", reason, temporary=True)
    try:
        os.truncate(taken.fileno(), 0)
        os.write(taken.fileno(), f"{os.getpid()}\n".encode())
    except OSError as error:  # the disk is full
        os.unlink(name)
        taken.close()
        raise refused(path, error) from None
    return taken


def check_path(path: str) -> None:
    """Raise BadSetting if no server can use a database at a path. Creates nothing."""
    if not os.access(os.path.dirname(path) or ".", os.W_OK | os.X_OK):
        raise unusable(path, "no file can be made there")
    if os.path.isdir(path):
        raise unusable(path, os.strerror(errno.EISDIR))
    if not os.path.isfile(path):
        return
    # Without `immutable`, reading would create files beside it, or wait for a lock.
    try:
        with closing(sqlite3.connect(f"file:{quote(path)}?immutable=1", uri=True)) as db:
            identify(db)
    except sqlite3.Error as error:
        raise refused(path, error) from None
    except UnicodeError as error:
        raise unusable(path, str(error)) from None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def unusable(path: str, reason: str) -> BadSetting:
    """Return the error for a database that cannot be used."""
    return BadSetting("timeline", f"sqlite:{path}", reason)


def refused(path: str, error: sqlite3.Error | OSError) -> BadSetting:
    """Return the error for a database that SQLite or the system cannot use, perhaps for now."""
    if isinstance(error, OSError):
        return BadSetting.of("timeline", f"sqlite:{path}", error)
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    temporary = code in _TEMPORARY
    return BadSetting("timeline", f"sqlite:{path}", str(error), temporary=temporary)
