"""The session of an account, kept for the next time: one per server, in a file of its owner's.

It is sent to that server alone. The password is never kept.
"""

import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec
from msgspec import Struct

from geventchat.client.terminal.client_id import folder
from geventchat.client.terminal.hosts import one_spelling

_MOST_BYTES: Final = 4096
_MOST_CHARACTERS: Final = 64


class KeptSession(Struct, frozen=True):
    """A session of an account."""

    nick: str
    session: str
    """The token, which is secret."""
    tls: bool = False
    """Whether it came over TLS: then it is not sent in clear."""


def device() -> str:
    """Return what the list of sessions calls those of this terminal."""
    host = platform.node()
    return f"terminal on {host}"[:_MOST_CHARACTERS] if host else "terminal"


def load(host: str, port: int) -> KeptSession | None:
    """Return the session that is kept for a server; None if there is none that can be read."""
    with (
        suppress(OSError, msgspec.DecodeError, UnicodeDecodeError),
        _path(host, port).open("rb") as file,
    ):
        return msgspec.json.decode(file.read(_MOST_BYTES), type=KeptSession)
    return None


def keep(host: str, port: int, kept: KeptSession) -> None:
    """Keep a session for a server; does nothing if nothing can be written."""
    with suppress(OSError):
        path = _path(host, port)
        fresh = path.with_name(f"{path.name}.new")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh.unlink(missing_ok=True)
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, msgspec.json.encode(kept))
        finally:
            os.close(file)
        fresh.replace(path)


def forget(host: str, port: int, session: str) -> None:
    """Delete a session that has ended; one that another terminal has kept since remains."""
    kept = load(host, port)
    if kept is not None and kept.session == session:
        with suppress(OSError):
            _path(host, port).unlink(missing_ok=True)


def _path(host: str, port: int) -> Path:
    return folder() / f"{quote(f'{one_spelling(host)}:{port}', safe=':')}.session"
