"""What the tests of the log and of the console share."""

import os
from collections.abc import Iterator

import pytest

from geventchat.server.logs.writer import LogWriter


class Window:
    """The reading end of a pipe that a printer writes to."""

    def __init__(self) -> None:
        self._end, end = os.pipe()
        self.printer = LogWriter(end)
        os.close(end)

    def lines(self) -> list[str]:
        """Close the printer and return its output."""
        self.printer.close(5)
        with os.fdopen(self._end, encoding="utf-8", closefd=False) as stream:
            return stream.read().splitlines()

    def shut(self) -> None:
        self.printer.close(0)
        os.close(self._end)


@pytest.fixture
def window() -> Iterator[Window]:
    window = Window()
    yield window
    window.shut()
