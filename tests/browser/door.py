"""A server with a web door, which can be killed and started again in the same place."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from loadtests.support.address import free_port
from tests.process import Process, served

SECONDS: Final = 20
_BLOCKED: Final = {10_080}
"""Bad ports of the Fetch standard above 10,000: a page there is ERR_UNSAFE_PORT."""


class Door:
    """A server on ports of its own; a killed one comes back on the same ports and database."""

    def __init__(self, folder: Path, stack: ExitStack, *options: str) -> None:
        self._folder = folder
        self._stack = stack
        self._ports = free_port(), _port_of_pages()
        self._options = options
        self.page = f"http://127.0.0.1:{self._ports[1]}/"
        """The address of the page."""
        self.process = self._start()

    @property
    def address(self) -> tuple[str, int]:
        """The address of the chat port."""
        return self.process.address

    def kill(self) -> None:
        """Kill the server with signal 9."""
        self.process.signal(signal.SIGKILL)
        self.process.wait(SECONDS)

    def start(self) -> None:
        """Start it again."""
        self.process = self._start()

    def _start(self) -> Process:
        chat, web = self._ports
        ports = "--port", str(chat), "--web", f"127.0.0.1:{web}"
        return self._stack.enter_context(served(self._folder, *ports, *self._options))


def _port_of_pages() -> int:
    """Return a free port from which browsers show pages; free_port chooses above 10,000."""
    while (port := free_port()) in _BLOCKED:
        pass
    return port


@contextmanager
def door(folder: Path, *options: str) -> Iterator[Door]:
    """Run a server with a web door until the block ends."""
    with ExitStack() as stack:
        yield Door(folder, stack, *options)
