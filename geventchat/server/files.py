"""Atomic and durable file writes."""

import os


def replace(path: str, data: bytes) -> None:
    """Replace a file atomically, readable by its owner only, and sync it to disk.

    Blocks. Raises OSError.
    """
    fresh = f"{path}.new"
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(file, "wb") as written:
        written.write(data)
        written.flush()
        os.fsync(file)
    os.replace(fresh, path)
    folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
