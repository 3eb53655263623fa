"""A program on a pseudo-terminal, with its screen as the user sees it."""

import os
import signal
import sys
import time
from collections.abc import Callable

import pexpect  # type: ignore[import-untyped]
import pyte

COLUMNS, LINES = 80, 24


class Screen(pyte.HistoryScreen):
    """A screen that can be scrolled back, and answers where its cursor is, as terminals do."""

    def __init__(self, answer: Callable[[str], None]) -> None:
        super().__init__(COLUMNS, LINES)
        self._answer = answer

    def write_process_input(self, data: str) -> None:
        self._answer(data)


class Terminal:
    """A program on a pseudo-terminal, and its screen."""

    def __init__(self, *arguments: str, term: str = "xterm-256color") -> None:
        self.screen = Screen(self.type)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.process = pexpect.spawn(
            sys.executable,
            ["-m", "geventchat", *arguments],
            env=os.environ | {"TERM": term},
            dimensions=(LINES, COLUMNS),
            timeout=10,
        )
        # It sleeps at every turn by default.
        self.process.delaybeforesend = None
        self.process.ptyproc.delayafterclose = 0.01

    @property
    def lines(self) -> list[str]:
        """The lines on the screen that are not empty."""
        return [line.rstrip() for line in self.screen.display if line.strip()]

    @property
    def all_lines(self) -> list[str]:
        """Those that have left the screen at its top, and those on it, that are not empty."""
        gone = self.screen.history.top
        above = ["".join(line[x].data for x in range(COLUMNS)).rstrip() for line in gone]
        return [line for line in [*above, *self.lines] if line]

    def type(self, *keys: str) -> None:
        self.process.send("".join(keys))

    def until(self, seen: Callable[[list[str]], bool]) -> list[str]:
        """Wait until the screen shows a text; return its lines."""
        deadline = time.monotonic() + 20
        while not seen(self.lines):
            if time.monotonic() > deadline:
                raise AssertionError("\n".join(["not on the screen:", *self.screen.display]))
            self._read()
        return self.lines

    def until_line(self, line: str) -> list[str]:
        return self.until(lambda lines: line in lines)

    def exit_code(self) -> int | None:
        while self.process.isalive():
            self._read()
        self.process.wait()
        code: int | None = self.process.exitstatus
        return code

    def close(self) -> None:
        """End the program if it still runs, and wait for its end."""
        if self.process.isalive():
            self.process.kill(signal.SIGKILL)
            self.process.wait()
        self.process.close()

    def _read(self) -> None:
        try:
            data = self.process.read_nonblocking(65_536, timeout=1)
        except pexpect.TIMEOUT:
            return
        except pexpect.EOF:
            self.process.wait()
            return
        self.raw += data
        self._stream.feed(data)
