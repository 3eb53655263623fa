"""The guard's file cannot always be written: that is in the log once, and again when it can."""

import logging
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from geventchat.server.timeline import sqlite
from geventchat.server.timeline.sqlite import store
from tests.server.record import Record, on_disk, say


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Record]:
    """A record that looks after its file all the time."""
    monkeypatch.setattr(sqlite, "_MAINTENANCE_SECONDS", 0.001)
    monkeypatch.setattr(store, "TOTALS_SECONDS", 0)
    record = Record(on_disk(tmp_path / "chat.db"))
    yield record
    record.close()


def put_in_the_way(folder: Path) -> Path:
    """Create a folder at the path of the new guard file, so that writing fails even for root."""
    place = folder / "chat.db.guard.new"
    with gevent.Timeout(20):
        while True:
            try:
                place.mkdir()
            except FileExistsError:  # it is being written
                gevent.sleep(0.001)
            else:
                return place


def wait_until(record: Record, *, failing: bool) -> None:
    with gevent.Timeout(20):
        while record.timeline.guard_failing != failing:
            gevent.sleep(0.001)


def rounds(record: Record, count: int) -> None:
    """Run maintenance that many times, with a new post each time."""
    for number in range(count):
        record.fill([str(number)])
        gevent.sleep(0.005)


def test_a_guard_that_cannot_be_written_is_logged_once_and_again_when_it_can(
    record: Record, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "geventchat.server.timeline.sqlite")
    record.fill(["before"])
    in_the_way = put_in_the_way(tmp_path)
    record.fill(["one"])
    wait_until(record, failing=True)
    rounds(record, 5)
    lines = [each.message for each in caplog.records]
    assert lines == [
        f"rollback guard disabled: cannot write {tmp_path}/chat.db.guard: Is a directory"
    ]
    in_the_way.rmdir()
    wait_until(record, failing=False)
    rounds(record, 5)
    (line,) = [each.message for each in caplog.records][1:]
    assert line == "rollback guard enabled again"
    assert not record.timeline.failing


def test_messages_are_stored_while_the_guard_cannot_be_written(
    record: Record, tmp_path: Path
) -> None:
    put_in_the_way(tmp_path)
    record.fill(["one"])
    wait_until(record, failing=True)
    assert len(record.turn(say("two")).entries) == 1
    assert [post.text for post in record.everything()] == ["one", "two"]
