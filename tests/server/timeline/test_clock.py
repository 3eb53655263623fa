"""A system clock that jumps ahead deletes nothing, also across restarts; each run is logged."""

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from geventchat.config import Limits
from geventchat.server.timeline import clock, sqlite
from geventchat.server.timeline.clock import DAY_MS, Clock
from geventchat.server.timeline.sqlite import SqliteTimeline
from geventchat.server.timeline.sqlite.store import Store
from tests.server.record import Record

NOW = 1_795_000_000.0
HOUR, DAY = 3_600.0, 86_400.0
AWAY = 7 * DAY_MS


class Times:
    """The clocks of a machine."""

    def __init__(self) -> None:
        self.wall = NOW
        self.steady = 5_000.0

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> Times:
    times = Times()
    monkeypatch.setattr(time, "time", lambda: times.wall)
    monkeypatch.setattr(clock, "_steady_ms", lambda: int(times.steady * 1000))
    return times


def last() -> int:
    return int(NOW * 1000)


@pytest.mark.parametrize("days", [0.01, 1, 300])
def test_a_clock_that_goes_as_the_steady_one_is_trusted(times: Times, days: float) -> None:
    checked = Clock(last())
    times.passes(days * DAY)
    assert checked.ahead_ms(AWAY) == 0
    assert checked.believed_ms(AWAY) == int(times.wall * 1000)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("jump", [2 * HOUR, 40 * DAY, 30 * 365 * DAY])
def test_a_clock_that_jumps_ahead_is_not_trusted_until_it_is_set_back(
    times: Times, jump: float, *, known: bool
) -> None:
    checked = Clock(last() if known else None)
    times.passes(DAY)
    times.wall += jump
    assert checked.ahead_ms(AWAY) == int(jump * 1000)
    assert checked.believed_ms(AWAY) == int((NOW + DAY) * 1000)
    times.passes(HOUR)
    assert checked.ahead_ms(AWAY)
    times.wall -= jump
    assert checked.ahead_ms(AWAY) == 0


def test_a_clock_that_runs_twice_as_fast_is_not_trusted_for_long(times: Times) -> None:
    checked = Clock(last())
    for _ in range(3 * 60):
        times.passes(60)
        times.wall += 60
    assert checked.ahead_ms(AWAY)


def test_a_clock_that_jumped_while_the_server_was_down_is_not_trusted(times: Times) -> None:
    times.wall += 40 * DAY
    believed = last()
    for _ in range(3):
        checked = Clock(believed)
        assert checked.ahead_ms(AWAY) == pytest.approx(40 * DAY_MS)
        believed = checked.believed_ms(AWAY)


def test_a_server_may_be_down_for_days(times: Times) -> None:
    times.wall += 6 * DAY
    assert Clock(last()).ahead_ms(AWAY) == 0


def test_a_clock_that_is_behind_at_the_start_may_be_set_later(times: Times) -> None:
    """A machine without a battery for its clock starts in 1970."""
    times.wall = 5.0
    checked = Clock(last())
    assert checked.ahead_ms(AWAY) == 0
    assert checked.believed_ms(AWAY) == last()
    times.passes(60)
    times.wall = NOW + DAY
    assert checked.ahead_ms(AWAY) == 0
    times.wall = NOW + 40 * DAY
    assert checked.ahead_ms(AWAY)


def test_a_clock_that_is_set_back_and_forth_an_hour_is_trusted(times: Times) -> None:
    checked = Clock(last())
    for change in (-HOUR, HOUR, HOUR, -HOUR):
        times.wall += change
        assert checked.ahead_ms(AWAY) == 0


# In a server


@pytest.fixture
def started(
    tmp_path: Path,
    times: Times,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> Iterator[Record]:
    """A record with three posts whose history is 30 days."""
    caplog.set_level(logging.INFO, "geventchat.server.timeline")
    monkeypatch.setattr(sqlite, "_MAINTENANCE_SECONDS", 0.001)
    path, limits = str(tmp_path / "chat.db"), Limits(history_days=30)
    record = Record(lambda deliver: SqliteTimeline(deliver, path, limits))
    record.fill(["one", "two", "three"])
    yield record
    record.close()


def store(record: Record) -> Store:
    assert isinstance(record.timeline, SqliteTimeline)
    return record.timeline._store


def wait_examined(record: Record) -> None:
    """Wait until retention has examined all rooms again, twice."""
    rounds = store(record).retention.rounds
    with gevent.Timeout(20):
        while store(record).retention.rounds < rounds + 2:
            gevent.sleep(0.001)


def lines(caplog: pytest.LogCaptureFixture, text: str) -> list[str]:
    return [each.message for each in caplog.records if text in each.message]


def wait_line(caplog: pytest.LogCaptureFixture, text: str, count: int = 1) -> None:
    with gevent.Timeout(20):
        while len(lines(caplog, text)) < count:
            gevent.sleep(0.001)


def test_a_clock_that_jumps_ahead_deletes_nothing_and_each_server_logs_it_once(
    started: Record, times: Times, caplog: pytest.LogCaptureFixture
) -> None:
    times.wall += 40 * DAY
    for start in range(1, 4):
        wait_examined(started)
        wait_line(caplog, "the system clock is 40.0 days ahead", start)
        assert len(started.everything()) == 3
        started.close()
        assert len(lines(caplog, "the system clock is 40.0 days ahead")) == start
        started.reopen()
    wait_line(caplog, "the system clock is 40.0 days ahead", 4)
    times.wall -= 40 * DAY
    wait_line(caplog, "can be trusted again")
    wait_examined(started)
    assert started.timeline.posts_trimmed == 0
    times.passes(31 * DAY)
    wait_line(caplog, "history trimmed: 3 messages deleted")


def test_a_run_is_one_line_and_counted(
    started: Record, times: Times, caplog: pytest.LogCaptureFixture
) -> None:
    times.passes(40 * DAY)
    wait_line(caplog, "history trimmed")
    wait_examined(started)
    assert lines(caplog, "history trimmed") == ["history trimmed: 3 messages deleted"]
    assert started.timeline.posts_trimmed == 3


def test_runs_of_the_next_minute_are_one_line(
    started: Record, caplog: pytest.LogCaptureFixture
) -> None:
    """A room at its limit is trimmed with each new post."""
    started.timeline.configure(Limits(history_posts_per_room=2))
    wait_line(caplog, "history trimmed")
    for number in range(2, 6):
        started.fill([f"post {number}"])
        with gevent.Timeout(20):
            while started.timeline.posts_trimmed < number:
                gevent.sleep(0.001)
    started.close()
    assert lines(caplog, "history trimmed") == [
        "history trimmed: 1 message deleted",
        "history trimmed: 4 messages deleted",
    ]
    started.reopen()


def test_a_guard_without_a_time_has_that_of_its_file(started: Record, tmp_path: Path) -> None:
    """It is of an older version."""
    started.close()
    guard = tmp_path / "chat.db.guard"
    guard.write_text('{"epoch": "e", "posts": 3}')
    os.utime(guard, (NOW - DAY, NOW - DAY))
    started.reopen()
    assert store(started).guard.last_ms == int((NOW - DAY) * 1000)


def test_without_a_guard_the_time_is_that_of_the_database(started: Record, tmp_path: Path) -> None:
    """It may have been copied without it."""
    started.close()
    (tmp_path / "chat.db.guard").unlink()
    os.utime(tmp_path / "chat.db", (NOW - DAY, NOW - DAY))
    started.reopen()
    assert store(started).guard.last_ms == int((NOW - DAY) * 1000)
