"""The client id by which a server recognises this client: one secret per server, in a file.

A second client of the same server uses a second slot at the same time, so that neither replaces
the other.
"""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from geventchat.client.terminal.hosts import one_spelling

try:
    import fcntl

    _slots = 16
except ImportError:  # not a Unix: without locks no file can be kept
    _slots = 0

_CLIENT: Final = re.compile(r"[A-Za-z0-9_-]{16,64}\Z")


class ClientId:
    """The id of one running client."""

    def __init__(self, stored: str, file: int | None) -> None:
        """`stored` is what the file holds, which may be no id."""
        self._new = not _CLIENT.match(stored)
        self.id = secrets.token_urlsafe(16) if self._new else stored
        self._file = file

    def keep(self) -> None:
        """Store a new id, once there is a server that knows it: not for each mistyped host."""
        if self._new and self._file is not None:
            with suppress(OSError):  # no space: a new one next time
                os.ftruncate(self._file, 0)
                os.pwrite(self._file, f"{self.id}\n".encode(), 0)


def folder() -> Path:
    """Return the folder for persistent state. Raises OSError if the user has no home."""
    try:
        home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    except RuntimeError as error:
        raise FileNotFoundError(str(error)) from None
    return Path(home) / "geventchat"


@contextmanager
def client_id(host: str, port: int) -> Iterator[ClientId]:
    """Yield the client id for a server, locked while in use.

    A new one each time if nothing can be stored, or if all slots are in use. A file that holds
    nothing is not left behind.
    """
    slot = _first_free_slot(quote(f"{one_spelling(host)}:{port}", safe=":"))
    if slot is None:
        yield ClientId("", None)
        return
    path, file = slot
    try:
        yield ClientId(os.pread(file, 65, 0).decode(errors="replace").rstrip("\n"), file)
    finally:
        with suppress(OSError):
            if not os.fstat(file).st_size:
                path.unlink()
        os.close(file)  # and with it the lock


def _first_free_slot(name: str) -> tuple[Path, int] | None:
    try:
        place = folder()
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        for slot in range(1, _slots + 1):
            path = place / (name if slot == 1 else f"{name}.{slot}")
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
            else:
                return path, file
    except OSError:
        pass  # no home or no space: not a reason to fail
    return None
