"""A server as a process, once for all tests that need a whole one; each uses rooms of its own."""

import sys
import zlib
from collections.abc import Iterator

import pytest

from geventchat.client import backoff
from tests.client.peer import Listener
from tests.process import served

GEVENTCHAT = [sys.executable, "-m", "geventchat"]


@pytest.fixture(scope="session")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with served(tmp_path_factory.mktemp("server"), "--timeline", "memory:") as process:
        yield process.address[1]


@pytest.fixture
def room(request: pytest.FixtureRequest) -> str:
    """Return a room that no other test uses."""
    return f"{zlib.crc32(request.node.nodeid.encode()):x}"


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


@pytest.fixture(autouse=True)
def state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Remember nothing between tests, nor anything in the home of who runs them."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connect again without a pause."""
    monkeypatch.setattr(backoff, "FIRST_SECONDS", 0.001)
    monkeypatch.setattr(backoff, "MAX_SECONDS", 0.001)
