"""Sends the lines of standard input, and knows which of them were not sent."""

from collections.abc import Callable
from typing import Final

from gevent.event import Event as Signal

from geventchat.client.connection import TooLong
from geventchat.client.terminal.errors import complain
from geventchat.client.terminal.lines import Line, read_lines

_SHOWN: Final = 10
"""Complaints about single lines; then only their number."""


class Sender:
    """Sends each line. A line that cannot be sent is named, and the others are sent.

    A line that the server refuses is the last: those behind it would be refused too.
    """

    def __init__(
        self, say: Callable[[str, int], object], settle: Callable[[], None], quit: str = ""
    ) -> None:
        """`say` gets a text and the number of its line, `settle` waits until all are stored.

        The line `quit` is not sent, and is the last.
        """
        self._say = say
        self._settle = settle
        self._quit = quit
        self.last = 0
        """The number of the last line that was taken."""
        self.unsent = 0
        """Lines that were not sent, so far."""
        self.refused = Signal()
        """Set when the server has refused a line."""

    def run(self) -> None:
        """Send until the input ends, and wait until all is stored. Raises Failed, Ended."""
        for lines in read_lines():
            for line in lines:
                if line.text == self._quit != "":
                    return
                self._send(line)
        self._settle()

    def finish(self) -> int:
        """Return how many lines were not sent, after those sent have their verdict."""
        if self.refused.is_set():
            complain(f"nothing behind line {self.last:,} was sent")
        if self.unsent > _SHOWN:
            complain(f"{self.unsent:,} lines were not sent")
        return self.unsent

    def refuse(self, number: int, why: str) -> None:
        """Note that the server has refused a line."""
        self._complain(number, why)
        self.refused.set()

    def _send(self, line: Line) -> None:
        self.last = line.number
        fault = line.fault
        if not fault:
            try:
                self._say(line.text, line.number)
            except TooLong as error:
                fault = str(error)
        if fault:
            self._complain(line.number, fault)

    def _complain(self, number: int, why: str) -> None:
        self.unsent += 1
        if self.unsent <= _SHOWN:
            complain(f"line {number:,} was not sent: {why}")
