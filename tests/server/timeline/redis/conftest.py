"""Connections to engines, closed at the end of a test, and what tests of their content share."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import pytest

from geventchat.server.timeline import redis as package
from geventchat.server.timeline.redis import beating
from geventchat.server.timeline.redis.engine import Engine
from geventchat.server.timeline.redis.url import Where, parse
from tests.engines import RunningEngine
from tests.fault_proxy import FaultProxy, faults
from tests.server.timeline.redis.claimers import Claimers, claimers_on
from tests.server.timeline.redis.deciders import Node, Nodes, nodes_on
from tests.server.timeline.redis.filled import Filled
from tests.server.timeline.redis.watched import Watched

Connect = Callable[..., Engine]
Watch = Callable[..., Watched]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Return what gives a connection to an engine, a place or a URL, with options of Engine."""
    with ExitStack() as stack:

        def connect(to: RunningEngine | Where | str, name: str = "test", **options: Any) -> Engine:
            place = to if isinstance(to, Where) else parse(to if isinstance(to, str) else to.url)
            return stack.enter_context(closing(Engine(place, name=name, **options)))

        yield connect


@pytest.fixture
def connection(engine: RunningEngine, connect: Connect) -> Engine:
    """Return a connection to each kind of engine in turn, with nothing in it."""
    return connect(engine)


@pytest.fixture
def filled(connection: Engine) -> Filled:
    return Filled(connection)


@pytest.fixture
def deciders() -> Iterator[Nodes]:
    """Return what opens nodes on an engine, which are closed at the end."""
    with ExitStack() as stack:

        def start(url: str, count: int, **options: Any) -> list[Node]:
            return stack.enter_context(nodes_on(url, count, **options))

        yield start


@pytest.fixture
def proxy(engine: RunningEngine) -> Iterator[FaultProxy]:
    with faults(engine.path) as proxy:
        yield proxy


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Return a function that opens a timeline, which is closed at the end."""
    with ExitStack() as stack:

        def open_timeline(url: str, **options: object) -> Watched:
            watched = Watched(url, **options)  # type: ignore[arg-type]
            stack.callback(watched.close)
            return watched

        yield open_timeline


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten what an engine may take to answer."""
    monkeypatch.setattr(package, "ENGINE_SECONDS", 0.2)
    monkeypatch.setattr(beating, "_BEAT_SECONDS", 0.1)


@pytest.fixture
def claimers() -> Iterator[Claimers]:
    """Return what opens nodes on an engine, which are closed at the end."""
    with ExitStack() as stack:
        yield lambda url, count: stack.enter_context(claimers_on(url, count))


@contextmanager
def hurried(line: Engine, seconds: float = 0.2) -> Iterator[None]:
    """Let the commands of a connection take no longer than so many seconds meanwhile."""
    before, line._seconds = line._seconds, seconds
    try:
        yield
    finally:
        line._seconds = before
