"""Writes lines in a native thread, so that a stopped terminal drops lines and never blocks the hub.

Only strings are passed to the thread. It must not touch gevent, not even by dropping the last
reference to one of its objects, nor use its queues and locks.
"""

import errno
import os
import select
from collections.abc import Callable, Iterator
from typing import Any, Final

from gevent.monkey import get_original

WAITING_LINES: Final = 1_000
"""Beyond these, lines are dropped and counted."""
LINES_PER_WRITE: Final = 100
PAUSE_SECONDS: Final = 0.05
"""Between two writes. With the above: 2,000 lines per second."""
_WHOLE_BYTES: Final = select.PIPE_BUF
"""Up to so many, what is written to a pipe at once is not mixed with what other workers write."""
_PASSING: Final = (errno.EAGAIN, errno.ENOSPC, errno.EDQUOT)
"""Errors to retry after: another process set the terminal non-blocking, or the disk is full."""

# The native ones, whether the process is patched or not.
_SimpleQueue: Any = get_original("queue", "SimpleQueue")
_start_thread: Any = get_original("_thread", "start_new_thread")
_allocate_lock: Any = get_original("_thread", "allocate_lock")
_sleep: Any = get_original("time", "sleep")


def _more(lines: int) -> str:
    return f"… dropped {lines:,} lines"


class LogWriter:
    """A queue of lines for a file descriptor. Nothing waits except `close`.

    Lines that arrive faster than they can be written are dropped, and a line says how many.
    """

    def __init__(self, fd: int | None, left_out: Callable[[int], str] = _more) -> None:
        """Write to a duplicate of `fd`; None: drop all lines.

        `left_out` returns the line for a number of dropped ones; it is called in the thread.
        """
        self._stands_for = left_out
        self._lines: Any = _SimpleQueue()
        # Numbers all lines, dropped ones included, so that the thread finds the gaps.
        self._newest = 0
        self._broken = fd is None
        self._ended: Any = _allocate_lock()
        if fd is not None:
            self._ended.acquire()
            _start_thread(self._write_all, (os.dup(fd),))

    def admits(self) -> bool:
        """Return whether a line can be put; if not, it counts as dropped.

        To be called before formatting, so that a flood costs little.
        """
        if not self._broken and self._lines.qsize() < WAITING_LINES:
            return True
        self._newest += 1
        return False

    def put(self, line: str) -> None:
        """Queue a line, without a line break at its end."""
        self._lines.put((self._newest + 1, line))
        self._newest += 1

    def close(self, seconds: float) -> None:
        """Write what is left, blocking the hub for at most `seconds`."""
        self._lines.put((self._newest, None))
        if self._ended.acquire(timeout=seconds):
            self._ended.release()
        self._broken = True

    def _write_all(self, fd: int) -> None:
        written = 0
        more = True
        while more and not self._broken:
            waiting = [self._lines.get()]
            newest = self._newest  # read before checking for more: see below
            while len(waiting) < LINES_PER_WRITE and not self._lines.empty():
                waiting.append(self._lines.get())
            last, line = waiting[-1]
            more = line is not None
            if self._lines.empty():  # all up to `newest` that are not here were dropped
                last = max(last, newest)
            try:
                for part in _parts(self._page(waiting, written, last)):
                    self._write(fd, part)
                written = last
            except Exception:
                pass  # these lines are lost, and the next page says how many: never the later ones
            if more:
                _sleep(PAUSE_SECONDS)
        os.close(fd)
        self._ended.release()

    def _page(self, waiting: list[tuple[int, str | None]], written: int, last: int) -> str:
        """Return these lines as text, and a line for each gap in their numbers up to `last`."""
        page = []
        for number, line in waiting:
            page += self._left_out(number - written - (line is not None))
            written = number
            if line is not None:
                page.append(line)
        page += self._left_out(last - written)
        return "".join(f"{line}\n" for line in page)

    def _write(self, fd: int, data: bytes) -> None:
        while data and not self._broken:
            try:
                data = data[os.write(fd, data) :]
            except OSError as error:
                if error.errno not in _PASSING:  # the terminal is gone
                    self._broken = True
                    return
                _sleep(PAUSE_SECONDS)

    def _left_out(self, lines: int) -> list[str]:
        return [self._stands_for(lines)] if lines > 0 else []


def _parts(page: str) -> Iterator[bytes]:
    """Yield the lines of a page, as many together as are written whole."""
    part = b""
    for line in page.encode("utf-8", "backslashreplace").splitlines(keepends=True):
        if part and len(part) + len(line) > _WHOLE_BYTES:
            yield part
            part = b""
        part += line
    yield part
