"""What the tests of a timeline in a file share."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.server.record import Record, on_disk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


@pytest.fixture
def record(path: Path) -> Iterator[Record]:
    record = Record(on_disk(path))
    yield record
    record.close()


def other_program(path: Path) -> "closing[sqlite3.Connection]":
    return closing(sqlite3.connect(path, isolation_level=None))
