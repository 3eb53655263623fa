"""What the tests of timelines share; `record` is one in a file."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.engines import KINDS, RunningEngine
from tests.server.record import Open, Record, in_file, in_memory, on_disk, on_engine


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


@pytest.fixture(params=["memory", "sqlite", *KINDS])
def opening(
    request: pytest.FixtureRequest, path: Path, engines: Callable[[str], RunningEngine]
) -> Open:
    """Return how to open each kind of timeline in turn, with nothing in it."""
    return opened(request.param, path, engines)


def opened(kind: str, path: Path, engines: Callable[[str], RunningEngine]) -> Open:
    """Return how to open one kind, with nothing in it."""
    if kind == "memory":
        return in_memory()
    return in_file(path) if kind == "sqlite" else on_engine(engines(kind).url)


@pytest.fixture(params=["sqlite", *KINDS])
def kept(
    request: pytest.FixtureRequest, path: Path, engines: Callable[[str], RunningEngine]
) -> Open:
    """Return how to open each kind that outlasts the server, without a cache of posts."""
    if request.param == "sqlite":
        return on_disk(path)
    return on_engine(engines(request.param).url, recent_bytes=0)


@pytest.fixture
def record(path: Path) -> Iterator[Record]:
    record = Record(on_disk(path))
    yield record
    record.close()


def other_program(path: Path) -> "closing[sqlite3.Connection]":
    return closing(sqlite3.connect(path, isolation_level=None))
