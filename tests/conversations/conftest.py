from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from geventchat.config import Config
from geventchat.server.server import Server
from tests.conversations import nodes
from tests.conversations.chat import Chat, chatting
from tests.conversations.control import beside
from tests.conversations.nodes import NODES
from tests.conversations.one_node import OF_ONE_NODE
from tests.conversations.operators import TOKEN
from tests.conversations.peers import Bystanders
from tests.conversations.stored import OF_ONE_STORE, ON_ENGINE, placed
from tests.conversations.web import WebChat, web_chatting
from tests.engines import RunningEngine

Address = tuple[str, int]
Serve = Callable[..., Address]
ABOUT_STORING = (
    "around", "changes_of_accounts", "conversations", "direct", "edit", "half_close", "history",
    "hooks", "join", "marks", "missed_changes", "plain", "private_history", "private_rooms",
    "redact", "room_list", "rooms", "say", "search", "shutdown", "topic",
)  # fmt: skip
"""Modules whose conversations depend on what is stored, and when; for the others see stored.py."""
BOTH_DOORS = pytest.mark.parametrize("door", ["tcp", "web"])
"""Runs tests with rich clients of the chat port, and again with those of the web door."""


@contextmanager
def serving(timeline: str, *, drain_seconds: int = 10, **limits: int) -> Iterator[Server]:
    """Run a server in this process, on a port of its own."""
    options = {
        "admin": "none",
        "web": "none",
        "timeline": placed(timeline),
        "drain_seconds": drain_seconds,
    }
    server = nodes.start(Config.of({"port": 0, "limits": limits, **options}))
    try:
        yield server
    finally:
        nodes.stop(server)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what needs a timeline once for each, and on an engine where that is the question."""
    if "timeline" in metafunc.fixturenames:
        kinds = ["memory", "sqlite"]
        if ON_ENGINE:
            kinds = ["sqlite"]
        elif (
            metafunc.module.__name__.rpartition("test_")[2] in ABOUT_STORING
            and metafunc.function.__name__ not in OF_ONE_STORE
        ):
            kinds.append("valkey")
        metafunc.parametrize("timeline", kinds, indirect=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out, where all is stored on an engine, what is about other stores."""
    if ON_ENGINE:
        names = ({item.path.stem, item.name.partition("[")[0]} for item in items)
        left_out = OF_ONE_STORE | (OF_ONE_NODE if NODES > 1 else frozenset())
        items[:] = [item for item in items if not left_out & next(names)]


@pytest.fixture
def timeline(
    request: pytest.FixtureRequest, tmp_path: Path, engines: Callable[[str], RunningEngine]
) -> str:
    """Return the setting of each timeline in turn."""
    settings = {"memory": "memory:", "sqlite": f"sqlite:{tmp_path}/chat.db"}
    return settings.get(request.param) or engines(request.param).url


@pytest.fixture
def address() -> Iterator[Address]:
    """Return the address of a server with default limits and posts in memory."""
    with serving("memory:") as server:
        yield server.address


@pytest.fixture
def bystanders(address: Address) -> Iterator[Bystanders]:
    """Return two clients in the lobby of that server, while two control clients talk."""
    with beside(address) as bystanders:
        yield bystanders


@pytest.fixture
def stored(timeline: str) -> Iterator[Address]:
    """Return the address of a server, once for each timeline."""
    with serving(timeline) as server:
        yield server.address


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a function that starts a server with a timeline and limits; it returns the address."""
    with ExitStack() as stack:

        def start(timeline: str = "memory:", **limits: Any) -> Address:
            return stack.enter_context(serving(timeline, **limits)).address

        yield start


@pytest.fixture
def door() -> str:
    """Return the door that rich clients use; a module may run on BOTH_DOORS."""
    return "tcp"


@pytest.fixture
def chat(door: str) -> Iterator[Chat]:
    """Return a server with posts in memory, with its clients and its clock."""
    with chatting(door=door) as chat:
        yield chat


@pytest.fixture
def stored_chat(timeline: str, door: str) -> Iterator[Chat]:
    """Return such a server, once for each timeline."""
    with chatting(timeline, door=door) as chat:
        yield chat


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    """Return options with an operator file, which holds a token."""
    file = tmp_path / "operator"
    file.write_text(f"{TOKEN}\n")
    return {"operator_file": str(file)}


@pytest.fixture
def moderated(options: dict[str, Any], door: str) -> Iterator[Chat]:
    """Return a server with operators."""
    with chatting(options=options, door=door) as chat:
        yield chat


@pytest.fixture
def web() -> Iterator[WebChat]:
    """Return a server with a web door."""
    with web_chatting() as chat:
        yield chat


@pytest.fixture
def web_bystanders(web: WebChat) -> Iterator[Bystanders]:
    """Return two clients of its chat port in the lobby, while two control clients talk."""
    with beside(web.address) as bystanders:
        yield bystanders
