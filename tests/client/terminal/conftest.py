"""Terminals of users, and somebody else in their room."""

from collections.abc import Callable, Iterator

import pytest

from geventchat.client import Connection
from tests.terminal import Terminal

Open = Callable[..., Terminal]


@pytest.fixture
def open_terminal(port: int) -> Iterator[Open]:
    """Return what runs `geventchat connect` with options, until the end of the test."""
    opened: list[Terminal] = []

    def open_terminal(*options: str, port: int = port, **more: str) -> Terminal:
        opened.append(Terminal("connect", f":{port}", *options, **more))
        return opened[-1]

    yield open_terminal
    for terminal in opened:
        terminal.close()


@pytest.fixture
def bert(port: int, room: str) -> Iterator[Connection]:
    with Connection("127.0.0.1", port, nick=f"bert-{room}", rooms=[room]) as chat:
        yield chat
