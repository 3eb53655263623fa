"""Chromium, a context for each user, and a server as a process; nothing may go wrong in a page."""

import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest
from playwright.sync_api import Browser

from tests.browser.door import Door, door
from tests.browser.tab import Tab
from tests.conversations.peers import Rich


class OpenTab(Protocol):
    """Opens tabs; see the fixture."""

    def __call__(
        self, nick: str, *, beside: Tab | None = None, door: Door | None = None, **options: Any
    ) -> Tab: ...


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """Return a server for all tests that need no server of their own."""
    with door(tmp_path_factory.mktemp("door"), "--timeline", "memory:") as shared:
        yield shared


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Door]]:
    """Return a function that starts a server with options, and with its posts in SQLite."""
    with ExitStack() as stack:
        yield lambda *options: stack.enter_context(door(tmp_path, *options))


@pytest.fixture
def room(request: pytest.FixtureRequest) -> str:
    """Return a room that no other test uses."""
    return f"{zlib.crc32(request.node.nodeid.encode()):x}"


@pytest.fixture
def open_tab(browser: Browser, shared: Door, room: str) -> Iterator[OpenTab]:
    """Return a function that opens a tab; its nick is made unique by the room's name.

    The tab is in a browser of its own, or in the one of another tab. The options are those of the
    browser's context.
    """
    opened: list[Tab] = []

    def open_tab(
        nick: str, *, beside: Tab | None = None, door: Door | None = None, **options: Any
    ) -> Tab:
        context = beside.page.context if beside else browser.new_context(**options)
        tab = Tab(context.new_page(), (door or shared).page, f"{nick}-{room}", room)
        opened.append(tab)
        return tab

    yield open_tab
    for tab in opened:
        tab.page.context.close()
    assert [what for tab in opened for what in tab.wrong] == []


@pytest.fixture
def ann(open_tab: OpenTab) -> Tab:
    """Return a tab in the room."""
    return open_tab("ann").open().join()


@pytest.fixture
def bob(shared: Door, room: str) -> Iterator[Rich]:
    """Return somebody else in the room, on a plain socket."""
    with Rich(shared.address, f"bob-{room}", rooms=[room]) as bob:
        yield bob
