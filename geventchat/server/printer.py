"""Writes lines in a native thread: a terminal that nobody reads costs lines, never the chat.

Only strings cross over to that thread. It must not touch gevent, not even by dropping the last
reference to something of gevent's; and gevent's own queues and locks must not be used with it.
"""

import errno
import os
from collections.abc import Callable
from typing import Any, Final

from gevent.monkey import get_original

WAITING_LINES: Final = 1_000
"""Beyond these, lines are counted instead of kept."""
LINES_PER_WRITE: Final = 100
PAUSE_SECONDS: Final = 0.05
"""Between two writes. With the above: 2,000 lines a second, more than anybody reads."""
_PASSING: Final = (errno.EAGAIN, errno.ENOSPC, errno.EDQUOT)
"""Errors after which it is tried again: somebody else who has this terminal set it non-blocking,
or the disk that has the log is full."""

# The process may be patched or not; these are the native ones either way.
_SimpleQueue: Any = get_original("queue", "SimpleQueue")
_start_thread: Any = get_original("_thread", "start_new_thread")
_allocate_lock: Any = get_original("_thread", "allocate_lock")
_sleep: Any = get_original("time", "sleep")


def _more(lines: int) -> str:
    return f"… {lines:,} more"


class Printer:
    """Lines on their way to a file descriptor. Nothing here waits, except `close`.

    When lines come faster than they can be written, some are left out, and a line says how many.
    """

    def __init__(self, fd: int | None, left_out: Callable[[int], str] = _more) -> None:
        """Write to a duplicate of `fd`; None: all lines are dropped.

        `left_out` gives, in the thread, the line that stands for so many.
        """
        self._stands_for = left_out
        self._lines: Any = _SimpleQueue()
        # Numbers each line, the ones left out included; the thread finds the gaps by it.
        self._newest = 0
        self._broken = fd is None
        self._ended: Any = _allocate_lock()
        if fd is not None:
            self._ended.acquire()
            _start_thread(self._write_all, (os.dup(fd),))

    def admits(self) -> bool:
        """Say whether a line can be put; if not, it counts as left out.

        To be asked before a line is formed, so that a flood costs next to nothing.
        """
        if not self._broken and self._lines.qsize() < WAITING_LINES:
            return True
        self._newest += 1
        return False

    def put(self, line: str) -> None:
        """Write a line, which has no line break at its end, some time later."""
        self._lines.put((self._newest + 1, line))
        self._newest += 1

    def close(self, seconds: float) -> None:
        """Write what is left, but wait for that no longer than `seconds`, with the hub stopped."""
        self._lines.put((self._newest, None))
        if self._ended.acquire(timeout=seconds):
            self._ended.release()
        self._broken = True

    def _write_all(self, fd: int) -> None:
        written = 0
        more = True
        while more and not self._broken:
            waiting = [self._lines.get()]
            newest = self._newest  # before looking whether there is more: see below
            while len(waiting) < LINES_PER_WRITE and not self._lines.empty():
                waiting.append(self._lines.get())
            page = []
            for number, line in waiting:
                page += self._left_out(number - written - (line is not None))
                written = number
                if line is None:
                    more = False
                else:
                    page.append(line)
            if self._lines.empty():  # whatever came up to `newest` and is not here was left out
                page += self._left_out(newest - written)
                written = max(newest, written)
            self._write(fd, "".join(f"{line}\n" for line in page))
            if more:
                _sleep(PAUSE_SECONDS)
        os.close(fd)
        self._ended.release()

    def _write(self, fd: int, page: str) -> None:
        data = page.encode("utf-8", "backslashreplace")
        while data:
            try:
                data = data[os.write(fd, data) :]
            except OSError as error:
                if error.errno not in _PASSING:  # the window is gone; the chat goes on
                    self._broken = True
                    return
                _sleep(PAUSE_SECONDS)

    def _left_out(self, lines: int) -> list[str]:
        return [self._stands_for(lines)] if lines > 0 else []
