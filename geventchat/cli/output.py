"""Standard output may be a full disk, and its encoding may know few characters."""

import errno
import io
import os
import sys
from typing import Any


class OutputFailed(OSError):
    """Standard output cannot be written."""


class _File(io.FileIO):
    """Names the output as what has failed, whoever writes to it."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise OutputFailed(error.errno, error.strerror) from None


def prepare() -> None:
    """Let writes to standard output raise OutputFailed; spell out what it has no characters for.

    A terminal does not fail but go away, which those who draw on it handle.
    """
    if sys.stdout is not sys.__stdout__ or not isinstance(sys.stdout, io.TextIOWrapper):
        return
    if sys.stdout.isatty():
        sys.stdout.reconfigure(errors="backslashreplace")
    else:
        encoding, buffered = sys.stdout.encoding, sys.stdout.line_buffering
        raw = io.BufferedWriter(_File(sys.stdout.fileno(), "wb", closefd=False))
        sys.stdout = io.TextIOWrapper(raw, encoding, "backslashreplace", line_buffering=buffered)


def write(line: bytes) -> None:
    """Write a line to standard output. Raises OutputFailed, also if it was closed at the start."""
    if sys.stdout is None:
        raise OutputFailed(errno.EBADF, os.strerror(errno.EBADF))
    sys.stdout.buffer.write(line + b"\n")


def flush() -> None:
    """Write what waits. Raises OutputFailed."""
    if sys.stdout is not None:
        sys.stdout.flush()


def give_up() -> None:
    """Drop what waits, which Python would write once more at the end, with a traceback."""
    if sys.stdout is not None:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
