"""A prompt for terminals that can only print: Emacs' shell, some consoles of CI and IDEs.

The terminal itself echoes and edits the line being typed, so there is no input line to redraw, no
completion, and not one escape sequence is written.
"""

import os
import signal
import sys
from collections.abc import Iterable, Iterator
from typing import Final

import gevent
from gevent import socket
from gevent.event import AsyncResult, Event
from gevent.queue import SimpleQueue

from geventchat.client.terminal import formatting
from geventchat.client.terminal.formatting import Line

_STDIN: Final = 0
_STDOUT: Final = 1
_WRITE_BYTES: Final = 256  # what a terminal takes without blocking when it takes anything
_LAST_LINES_SECONDS: Final = 2


def only_prints() -> bool:
    """Whether the terminal is one that interprets no escape sequences, or does not say."""
    if sys.platform == "win32":
        return False
    dumb = os.environ.get("TERM", "").lower() in ("", "dumb", "emacs", "unknown")
    return dumb or "comint" in os.environ.get("INSIDE_EMACS", "")  # its shell, whatever TERM says


class LinePrompt:
    """Prints lines, and yields those that the user types, like `Prompt`."""

    def __init__(self) -> None:
        self._typed: SimpleQueue[str | None] = SimpleQueue()
        self._unprinted = b""
        self._some = Event()
        self._reader: gevent.Greenlet[[], None] | None = None
        self._quitting = False
        self._answer: AsyncResult[str | None] | None = None
        """Set while a question is asked whose answer must not be seen."""

    def run(self) -> None:
        """Read input until the user quits or `quit` is called; then print the remaining lines."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            gevent.signal_handler(number, self.quit)
        printing = gevent.spawn(self._print_gathered)
        self._reader = gevent.spawn(self._read)
        try:
            if not self._quitting:
                self._reader.join()
        except KeyboardInterrupt:
            pass
        finally:
            gevent.killall([self._reader, printing])
            self._reader = None
            self._print_rest()
            self._typed.put(None)
            if self._answer is not None:
                self._answer.set(None)

    def typed(self) -> Iterator[str]:
        """Yield the lines that the user types, until they quit. Waits."""
        while (text := self._typed.get()) is not None:
            yield text

    def ask(self, question: str) -> str | None:
        """Ask for something that must not be seen. Waits. None: the user gave up."""
        self.show([formatting.notice(f"{question}:")])
        self._answer = AsyncResult()
        shown = _echo(on=False)
        try:
            return self._answer.get()
        finally:
            self._answer = None
            if shown:
                _echo(on=True)

    def show(self, lines: Iterable[Line]) -> None:
        """Print lines."""
        self._unprinted += "".join(f"{_text(line)}\n" for line in lines).encode()
        self._some.set()
        if self._reader is None:
            self._print_rest()

    def show_if_late(self) -> None:
        """Do nothing: a message that is pending cannot be shown as that."""

    def give_back(self, text: str) -> None:
        """Do nothing: what was typed stands above, and nothing can be put into the input line."""

    def quit(self) -> None:
        """End the prompt. Never waits."""
        self._quitting = True
        if self._reader is not None:
            self._reader.kill(block=False)

    def _read(self) -> None:
        rest = b""
        try:
            while True:
                socket.wait_read(_STDIN)
                data = os.read(_STDIN, 4096)
                if not data:  # Ctrl-D
                    return
                *whole, rest = (rest + data).split(b"\n")
                for line in whole:
                    self._accept(line.removesuffix(b"\r"))
        except OSError:
            pass  # the terminal is gone

    def _accept(self, line: bytes) -> None:
        try:
            text = line.decode()
        except UnicodeDecodeError:
            self.show([formatting.error("Not sent: that line is not UTF-8.")])
            return
        if self._answer is not None:
            self._answer.set(text or None)
        elif text.strip():
            self._typed.put(text)

    def _print_gathered(self) -> None:
        while self._some.wait():
            self._some.clear()
            self._print()

    def _print_rest(self) -> None:
        # No longer: its reader may have stopped, as with Ctrl-S.
        gevent.with_timeout(_LAST_LINES_SECONDS, self._print, timeout_value=None)

    def _print(self) -> None:
        try:
            while self._unprinted:
                socket.wait_write(_STDOUT)
                written = os.write(_STDOUT, self._unprinted[:_WRITE_BYTES])
                self._unprinted = self._unprinted[written:]
        except OSError:
            self.quit()


def _echo(*, on: bool) -> bool:
    """Turn the echo of the terminal on or off; return whether it was on."""
    import termios  # not on every system

    try:
        modes = termios.tcgetattr(_STDIN)
    except termios.error:
        return False
    shown = bool(modes[3] & termios.ECHO)
    modes[3] = modes[3] | termios.ECHO if on else modes[3] & ~termios.ECHO
    termios.tcsetattr(_STDIN, termios.TCSANOW, modes)
    return shown


def _text(line: Line) -> str:
    return "".join(text for style, text in line if style != "[ZeroWidthEscape]")
