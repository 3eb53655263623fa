"""Private files: readable by their owner only, who is the owner of their folder if root made them.

So a command that root runs beside a stopped server leaves nothing that the server cannot use.
"""

import os
from contextlib import suppress


def create(path: str, flags: int = os.O_WRONLY) -> int:
    """Create a file and return its descriptor. Blocks. Raises OSError, also if it exists."""
    file = os.open(path, flags | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    if os.geteuid() == 0:
        with suppress(OSError):  # a share, or a container that may not
            owner = os.stat(os.path.dirname(path) or ".")
            os.fchown(file, owner.st_uid, owner.st_gid)
    return file


def create_or_open(path: str, flags: int) -> int:
    """Create or open a file, as an `opener` of `open`. Blocks. Raises OSError."""
    try:
        return create(path, flags)
    except FileExistsError:  # its owner stays: it may be a link to a file of somebody else
        return os.open(path, flags, 0o600)


def replace(path: str, data: bytes, *, durable: bool = True) -> None:
    """Replace a file atomically; if that fails, the old one stays and nothing is left beside it.

    Blocks, until it is on disk if it has to be `durable`. Raises OSError.
    """
    fresh = f"{path}.new"
    with suppress(FileNotFoundError):
        os.unlink(fresh)
    try:
        with open(create(fresh), "wb") as written:
            written.write(data)
            written.flush()
            if durable:
                os.fsync(written.fileno())
        os.replace(fresh, path)
    except OSError:
        with suppress(OSError):
            os.unlink(fresh)
        raise
    if durable:
        folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
