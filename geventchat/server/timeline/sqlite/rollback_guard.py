"""The rollback guard: a small file beside the database with the number of posts ever stored.

If an older copy of the database is restored, positions that clients have seen would be reused for
other posts. The guard detects it by a higher number of posts or another epoch, and a new epoch is
started. The guard is written after the database, at most once a second, so it is never ahead of it,
however the server ends; it cannot detect the loss of the last second before a crash. A folder that
is restored as a whole has an old guard too: `geventchat history renew` is for that. While the guard
cannot be written, an older copy is not detected; the log and /metrics say so.

The guard also remembers when the database was last used, for `clock`.
"""

import json
import logging
import os
from pathlib import Path
from typing import Final

from geventchat.server.files import replace

_TIME_MS: Final = 10 * 60 * 1000
"""How old the time in the guard may be."""

_log = logging.getLogger(__name__)


class RollbackGuard:
    """The guard file. Used by one thread at a time."""

    def __init__(self, database: str) -> None:
        self._path = f"{os.path.realpath(database)}.guard"
        self._written: tuple[str, int] | None = None
        self._written_ms = 0
        self.last_ms = _modified_ms(database)
        """When the database was last used; None: it is new."""
        self.error: str | None = None
        """Why the last write failed; None: it did not."""

    def detects_rollback(self, epoch: str, posts: int) -> bool:
        """Return whether a database with this epoch and number of posts is an older copy."""
        try:
            # A guard of an older version has no time in it.
            self.last_ms = _modified_ms(self._path) or self.last_ms
            known = json.loads(Path(self._path).read_bytes())
            self.last_ms = int(known.get("time", self.last_ms))
            return bool(known["epoch"] != epoch or known["posts"] > posts)
        except FileNotFoundError:
            return False
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            # A power failure may have truncated it.
            _log.warning("ignoring unreadable %s: %s", self._path, error)
            return False

    def update(self, epoch: str, posts: int, time_ms: int, *, at_once: bool = False) -> None:
        """Write the guard file; if only the time has changed, once in a while, or `at_once`.

        If that fails no message is lost, and `error` says why.
        """
        recent = abs(time_ms - self._written_ms) < _TIME_MS and not at_once
        if self._written == (epoch, posts) and recent:
            return
        data = json.dumps({"epoch": epoch, "posts": posts, "time": time_ms}).encode()
        try:
            replace(self._path, data, durable=False)
        except OSError as error:
            self.error = f"{self._path}: {error.strerror or error}"
            return
        self._written, self._written_ms, self.error = (epoch, posts), time_ms, None


def _modified_ms(path: str) -> int | None:
    try:
        return int(os.stat(path).st_mtime * 1000)
    except OSError:
        return None
