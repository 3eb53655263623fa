"""What the tests of a timeline in a file share."""

from collections.abc import Iterator
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
