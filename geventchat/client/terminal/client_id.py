"""The client id by which a server recognises this client: one secret per server, in a file.

A second client of the same server uses a second slot at the same time, so that neither replaces
the other.
"""

import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from geventchat.client.terminal.hosts import one_spelling

_SLOTS: Final = 16
_CLIENT: Final = re.compile(r"[A-Za-z0-9_-]{16,64}\Z")


def folder() -> Path:
    """Return the folder for persistent state."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "geventchat"


@contextmanager
def client_id(host: str, port: int) -> Iterator[str]:
    """Yield the client id for a server, locked while in use.

    A new one each time if nothing can be stored, or if all slots are in use.
    """
    file = _first_free_slot(quote(f"{one_spelling(host)}:{port}", safe=":"))
    if file is None:
        yield _draw()
        return
    try:
        yield _read_or_draw(file)
    finally:
        os.close(file)  # and with it the lock


def _first_free_slot(name: str) -> int | None:
    place = folder()
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        for slot in range(1, _SLOTS + 1):
            path = place / (name if slot == 1 else f"{name}.{slot}")
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
            else:
                return file
    except OSError:
        pass  # no home or no space: not a reason to fail
    return None


def _read_or_draw(file: int) -> str:
    kept = os.pread(file, 65, 0).decode(errors="replace").rstrip("\n")
    if _CLIENT.match(kept):
        return kept
    drawn = _draw()
    os.ftruncate(file, 0)
    os.pwrite(file, f"{drawn}\n".encode(), 0)
    return drawn


def _draw() -> str:
    return secrets.token_urlsafe(16)
