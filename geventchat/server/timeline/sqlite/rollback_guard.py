"""The guard: a small file beside the database that remembers how far the record had come.

If an older database is put back under a server's name, positions that clients have seen would be
used again for other posts. The guard shows it: it knows more posts than the database does, or
another epoch, and the record then begins a new life. It is written after the database, at most
once a second, so it never knows more than was stored, however the server ends; what was stored in
the last second before a crash it cannot vouch for. A folder that is put back as a whole has an old
guard too: `geventchat history renew` is for that. If it cannot be written, an older copy will not
be noticed: the log and /metrics say so.
"""

import json
import logging
import os
from pathlib import Path

_log = logging.getLogger(__name__)


class RollbackGuard:
    """The file. Used by one thread at a time."""

    def __init__(self, database: str) -> None:
        self._path = f"{os.path.realpath(database)}.guard"
        self._known: tuple[str, int] | None = None
        self.trouble: str | None = None
        """Why it could not be written the last time."""

    def contradicts(self, epoch: str, posts: int) -> bool:
        """Say whether a database with this epoch, and so many posts ever, is not the latest."""
        try:
            seen = json.loads(Path(self._path).read_bytes())
            return bool(seen["epoch"] != epoch or seen["posts"] > posts)
        except FileNotFoundError:
            return False
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning(
                "ignoring unreadable %s: %s", self._path, error
            )  # cut off by a power failure
            return False

    def saw(self, epoch: str, posts: int) -> None:
        """Remember what is stored. Nothing is lost if that fails, but `trouble` says why."""
        if self._known == (epoch, posts):
            return
        fresh = f"{self._path}.new"
        try:
            file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(file, "w", encoding="ascii") as written:
                json.dump({"epoch": epoch, "posts": posts}, written)
            os.replace(fresh, self._path)
        except OSError as error:
            self.trouble = f"{self._path}: {error.strerror or error}"
            return
        self._known, self.trouble = (epoch, posts), None
