"""The rollback guard: a small file beside the database with the number of posts ever stored.

If an older copy of the database is restored, positions that clients have seen would be reused for
other posts. The guard detects it by a higher number of posts or another epoch, and a new epoch is
started. The guard is written after the database, at most once a second, so it is never ahead of it,
however the server ends; it cannot detect the loss of the last second before a crash. A folder that
is restored as a whole has an old guard too: `geventchat history renew` is for that. While the guard
cannot be written, an older copy is not detected; the log and /metrics say so.
"""

import json
import logging
import os
from pathlib import Path

from geventchat.server.files import replace

_log = logging.getLogger(__name__)


class RollbackGuard:
    """The guard file. Used by one thread at a time."""

    def __init__(self, database: str) -> None:
        self._path = f"{os.path.realpath(database)}.guard"
        self._written: tuple[str, int] | None = None
        self.error: str | None = None
        """Why the last write failed; None: it did not."""

    def detects_rollback(self, epoch: str, posts: int) -> bool:
        """Return whether a database with this epoch and number of posts is an older copy."""
        try:
            known = json.loads(Path(self._path).read_bytes())
            return bool(known["epoch"] != epoch or known["posts"] > posts)
        except FileNotFoundError:
            return False
        except (OSError, ValueError, KeyError, TypeError) as error:
            # A power failure may have truncated it.
            _log.warning("ignoring unreadable %s: %s", self._path, error)
            return False

    def update(self, epoch: str, posts: int) -> None:
        """Write the guard file. If that fails no message is lost, and `error` says why."""
        if self._written == (epoch, posts):
            return
        data = json.dumps({"epoch": epoch, "posts": posts}).encode()
        try:
            replace(self._path, data, durable=False)
        except OSError as error:
            self.error = f"{self._path}: {error.strerror or error}"
            return
        self._written, self.error = (epoch, posts), None
