"""Whether a database can be used, and the claim by which one process at a time does so."""

import errno
import fcntl
import os
import pwd
import sqlite3
import stat
from contextlib import closing, suppress
from typing import Final
from urllib.parse import quote

from geventchat.config import BadSetting
from geventchat.config.checks import is_temporary
from geventchat.server.files import create_or_open
from geventchat.server.timeline.sqlite.schema import identify

_BESIDE: Final = ("-wal", "-shm")
"""Endings of the files that SQLite writes beside a database."""
_FULL_BYTES: Final = 256 << 10
"""With less free space than this a database cannot be opened: its files need some to begin with."""
_TEMPORARY: Final = (
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
)  # fmt: skip


class Claim:
    """A claim to a database, also under other names of it, until `release` or `abandon`.

    Raises BadSetting, which names the process that holds it, or the file that cannot be written.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        if os.path.isdir(path):
            raise unusable(path, os.strerror(errno.EISDIR))
        place = os.path.realpath(path)
        files = [place, *(place + end for end in _BESIDE), f"{place}.guard"]
        # Files beside a database that was there may hold a part of it.
        self._fresh = [] if os.path.lexists(place) else [f for f in files if not os.path.lexists(f)]
        """What to remove if the database cannot be used after all."""
        name = f"{place}.lock"
        try:
            self._lock = open(name, "r+b", buffering=0, opener=_lockable)  # noqa: SIM115
        except OSError as error:
            raise unusable(path, _denied(name, error), temporary=is_temporary(error)) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Not a lock file that another server has just removed.
            ours = os.path.samestat(os.fstat(self._lock.fileno()), os.stat(name))
        except OSError:
            ours = False
        if not ours:
            holder = self._lock.read(20).decode("ascii", "replace").strip() or "unknown"
            self._lock.close()
            reason = f"in use by another server, process {holder}"
            raise unusable(path, reason, temporary=True)
        try:
            _check_writable(path)
            self._lock.truncate(0)
            self._lock.write(b"%d\n" % os.getpid())
        except OSError as error:
            raise self.abandon(error) from None
        except BadSetting:
            self.abandon()
            raise

    def release(self) -> None:
        """End the claim; the files stay."""
        self._lock.close()

    def abandon(self, error: Exception | None = None) -> BadSetting:
        """End the claim and remove the files that it has created; return `error` as a refusal.

        The connections to the database must be closed.
        """
        reason = getattr(error, "strerror", None) or str(error)
        full = _full(self.path)
        if full and full not in reason:
            reason += f" ({full})"
        for file in (*self._fresh, self._lock.name):
            with suppress(OSError):
                os.unlink(file)
        self._lock.close()
        return unusable(self.path, reason, temporary=bool(full) or _may_pass(error))


def check_path(path: str) -> None:
    """Raise BadSetting if no server can use a database at a path. Creates nothing."""
    folder = os.path.dirname(os.path.realpath(path))
    if not _may(folder, os.W_OK | os.X_OK):
        raise unusable(
            path, _cannot_write(folder) if os.path.isdir(folder) else "no file can be made there"
        )
    if os.path.isdir(path):
        raise unusable(path, os.strerror(errno.EISDIR))
    _check_writable(path)
    if not os.path.isfile(path):
        return
    # Without `immutable`, reading would create files beside it, or wait for a lock.
    try:
        with closing(sqlite3.connect(f"file:{quote(path)}?immutable=1", uri=True)) as db:
            identify(db)
    except (sqlite3.Error, UnicodeError) as error:
        raise unusable(path, str(error), temporary=_may_pass(error)) from None


def unusable(path: str, reason: str, *, temporary: bool = False) -> BadSetting:
    """Return the error for a database that cannot be used, perhaps only at present."""
    return BadSetting("timeline", f"sqlite:{path}", reason, temporary=temporary)


def _may_pass(error: Exception | None) -> bool:
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in _TEMPORARY
    return isinstance(error, OSError) and is_temporary(error)


def _lockable(path: str, _: int) -> int:
    return create_or_open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)


def _check_writable(path: str) -> None:
    """Raise BadSetting if a file of a database exists and cannot be written.

    SQLite would find out later, and leave files that are read-only like the database.
    """
    place = os.path.realpath(path)
    for file in (place, *(place + end for end in _BESIDE), f"{place}.lock"):
        if os.path.exists(file) and not _may(file, os.R_OK | os.W_OK):
            raise unusable(path, _cannot_write(file))


def _may(path: str, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _denied(file: str, error: OSError) -> str:
    """Return why a file cannot be opened, with the file or folder that forbids it."""
    if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
        return error.strerror or str(error)
    return _cannot_write(file if os.path.lexists(file) else os.path.dirname(file))


def _cannot_write(file: str) -> str:
    """Return that a file cannot be written, whose it is and who tries."""
    try:
        if os.statvfs(file).f_flag & os.ST_RDONLY:
            return f"cannot write {file}: the file system is read-only"
        found = os.stat(file)
    except OSError as error:
        return f"cannot write {file}: {error.strerror or error}"
    mode = stat.S_IMODE(found.st_mode)
    text = f"cannot write {file}: it belongs to {_user(found.st_uid)} with mode {mode:04o}"
    return f"{text}, and this runs as {_user(os.geteuid())}"


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _full(path: str) -> str:
    """Return that the disk is full, if it is."""
    try:
        found = os.statvfs(os.path.dirname(os.path.realpath(path)))
    except OSError:
        return ""
    space = found.f_bavail * found.f_frsize >= _FULL_BYTES
    files = found.f_favail > 0 or not found.f_files  # some have no fixed number
    return "" if space and files else os.strerror(errno.ENOSPC)
