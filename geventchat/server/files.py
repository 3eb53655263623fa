"""Files that are on disk, whole, whenever the power fails."""

import os


def replace(path: str, data: bytes) -> None:
    """Write a file for its owner alone: at any moment there is the former or the new one, whole.

    Blocks until it is on disk. Raises OSError.
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
