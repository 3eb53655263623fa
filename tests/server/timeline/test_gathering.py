"""When turns gather: only while there are very many messages."""

from pathlib import Path

import gevent
import pytest

from geventchat.server.timeline.gathering import (
    ENOUGH,
    GATHER_SECONDS,
    MANY,
    WINDOW_SECONDS,
    Gathering,
)
from tests.server.record import Record, in_file, in_memory, say


class Clock:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gathering(clock: Clock) -> Gathering:
    return Gathering(clock)


def messages(gathering: Gathering, clock: Clock, rate: float, seconds: float) -> None:
    """Begin a turn for each message."""
    for _ in range(round(rate * seconds)):
        clock.now += 1 / rate
        gathering.begin(1)


def test_a_turn_does_not_gather_while_there_are_few_messages(
    gathering: Gathering, clock: Clock
) -> None:
    for _ in range(10):
        messages(gathering, clock, rate=0.9 * MANY, seconds=WINDOW_SECONDS)
        assert not gathering.seconds


def test_turns_gather_while_there_are_many_messages(gathering: Gathering, clock: Clock) -> None:
    messages(gathering, clock, rate=1.1 * MANY, seconds=2 * WINDOW_SECONDS)
    assert gathering.seconds == pytest.approx(GATHER_SECONDS)
    clock.now += GATHER_SECONDS / 2
    assert gathering.seconds == pytest.approx(GATHER_SECONDS / 2)


def test_a_turn_that_is_late_anyhow_does_not_gather(gathering: Gathering, clock: Clock) -> None:
    messages(gathering, clock, rate=10 * MANY, seconds=2 * WINDOW_SECONDS)
    clock.now += 2 * GATHER_SECONDS
    assert not gathering.seconds


def test_a_short_burst_does_not_make_turns_gather(gathering: Gathering, clock: Clock) -> None:
    clock.now += 1
    gathering.begin(int(MANY * WINDOW_SECONDS))
    messages(gathering, clock, rate=MANY, seconds=WINDOW_SECONDS / 2)
    assert not gathering.seconds


def test_turns_stop_gathering_when_there_are_few_messages_again(
    gathering: Gathering, clock: Clock
) -> None:
    messages(gathering, clock, rate=2 * MANY, seconds=2 * WINDOW_SECONDS)
    messages(gathering, clock, rate=MANY / 2, seconds=2 * WINDOW_SECONDS)
    assert not gathering.seconds


class Patient(Gathering):
    """Lets each turn gather for a minute."""

    @property
    def seconds(self) -> float:
        return 60


@pytest.fixture(params=["memory", "file"])
def record(request: pytest.FixtureRequest, tmp_path: Path) -> Record:
    record = Record(in_memory() if request.param == "memory" else in_file(tmp_path / "chat.db"))
    record.timeline._gathering = Patient()
    return record


def test_closing_does_not_wait_for_a_turn_that_gathers(record: Record) -> None:
    record.timeline.append(say("one"))
    gevent.idle()
    record.timeline.append(say("two"))
    assert record.timeline.close(10)
    assert [len(batch.entries) for batch in record.batches] == [2]


def test_a_turn_that_holds_enough_does_not_gather(record: Record) -> None:
    for number in range(ENOUGH):
        record.timeline.append(say(str(number)))
        gevent.idle()
    assert len(record.wait().entries) == ENOUGH
    record.close()
