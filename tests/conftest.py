"""Tests run unpatched, with gevent imported by name; the server as a whole runs in a process."""

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import gevent
import pytest
from hypothesis import settings

from tests.engines import engine, engines, own

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["engine", "engines", "own"]

# The same examples every time: a test that fails here fails on every machine.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")

# No test uses a default port.
os.environ["GEVENTCHAT_ADMIN"] = "none"
os.environ["GEVENTCHAT_WEB"] = "none"

# What tests write is in memory if there is room: an fsync then never waits for other programs
# that use the disk. A test that needs a disk that fails makes the system calls fail.
_MEMORY: Final = "/dev/shm"
_ROOM_BYTES: Final = 2 << 30
if (
    "TMPDIR" not in os.environ
    and os.access(_MEMORY, os.W_OK | os.X_OK)
    and shutil.disk_usage(_MEMORY).free >= _ROOM_BYTES
):
    os.environ["TMPDIR"] = tempfile.tempdir = _MEMORY

# Where no bytecode may be written beside the modules, each process would compile all of them anew.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
    _BYTECODE: Final = Path(__file__).parents[1] / ".pytest_cache" / "bytecode"
    os.environ.setdefault("PYTHONPYCACHEPREFIX", str(_BYTECODE))


_WAITING: Final = ("tests/browser", "tests/loadtests", "tests/proof")
"""Folders whose files take long, mostly waiting for other processes."""
_QUICK: Final = ("tests/protocol", "tests/server")
"""Folders whose files take little, with few exceptions."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long, so that at the end no worker is left with one.

    Files of the browser, which use the cores, alternate with those of the load tests.
    """
    places: dict[Path, int] = {}
    folders: dict[str, int] = {}
    for item in items:
        if item.path not in places:
            folder = str(item.path.parent)
            places[item.path] = folders[folder] = folders.get(folder, -1) + 1

    def turn(item: pytest.Item) -> tuple[int, int]:
        if item.nodeid.startswith(_WAITING):
            return 0, places[item.path]
        return (2 if item.nodeid.startswith(_QUICK) else 1), 0

    items.sort(key=turn)


def pytest_collection_finish() -> None:
    """Leave the tests themselves out of garbage collections.

    A worker has 250,000 objects of them, and walks them in 0.13 s again and again, in which a
    server in the same process answers nobody.
    """
    gc.collect()
    gc.freeze()


def pytest_runtest_setup() -> None:
    """Let gevent's clock go right, which stands still while a test of the page runs.

    `gevent.joinall` counts its timeout from there, and would end at once.
    """
    gevent.get_hub().loop.update_now()


def missing(what: str, *, required_by: str = "BROWSER_TESTS") -> None:
    """Skip a test for which something is missing; fail it where a variable says `required`."""
    if os.environ.get(required_by) == "required":
        pytest.fail(f"missing: {what}")
    pytest.skip(f"missing: {what}")


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """Return Chromium, started once for all tests of a worker; each test opens a context."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        missing("Chromium (apt-get install chromium)")
    from playwright.sync_api import sync_playwright  # takes 0.2 s, and most workers need none

    options = ["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP *.test 127.0.0.1"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=options)
        yield browser
        browser.close()
