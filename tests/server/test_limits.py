"""How many may come from an address, counted by the clock that a test turns."""

import logging
from collections import Counter

import gevent
import pytest

from geventchat.config import Limits
from geventchat.protocol.errors import FLOOD, ProtocolError
from geventchat.server import limits
from geventchat.server.limits import (
    RETURNS_PER_MINUTE,
    TOO_MANY,
    TOO_OFTEN,
    Arrivals,
    Pace,
    Refusals,
    Trust,
)

ANN, BOB = "192.0.2.1", "192.0.2.2"


def arrivals(**changed: int) -> Arrivals:
    return Arrivals(Limits(**changed))


def test_an_address_has_256_connections_and_60_new_ones_a_minute() -> None:
    assert (Limits().connections_per_address, Limits().arrivals_per_minute) == (256, 60)


def test_an_address_has_so_many_connections_and_others_as_many() -> None:
    door = arrivals(connections_per_address=2)
    assert [door.enter(ANN, 0) for _ in range(3)] == [None, None, TOO_MANY]
    assert door.enter(BOB, 0) is None
    door.leave(ANN)
    assert door.enter(ANN, 0) is None


def test_a_minute_has_so_many_new_ones_and_then_one_a_second() -> None:
    door = arrivals()
    assert [door.enter(ANN, 0) for _ in range(62)] == [None] * 60 + [TOO_OFTEN] * 2
    assert door.enter(BOB, 0) is None
    assert [door.enter(ANN, 1) for _ in range(2)] == [None, TOO_OFTEN]
    assert [door.enter(ANN, 61) for _ in range(61)] == [None] * 60 + [TOO_OFTEN]


def test_who_was_refused_need_not_wait_longer_for_that() -> None:
    door = arrivals(arrivals_per_minute=1)
    assert door.enter(ANN, 0) is None
    assert {door.enter(ANN, second) for second in range(1, 60)} == {TOO_OFTEN}
    assert door.enter(ANN, 60) is None


def test_who_was_here_before_is_not_counted() -> None:
    door = arrivals(arrivals_per_minute=2)
    for _ in range(10):
        assert door.enter(ANN, 0) is None
        door.forgive(ANN, 0)
    assert [door.enter(ANN, 0) for _ in range(3)] == [None, None, TOO_OFTEN]


def test_who_comes_back_all_the_time_is_counted_in_the_end() -> None:
    door = arrivals()
    came = 0
    while door.enter(ANN, 0) is None:
        door.leave(ANN)
        door.forgive(ANN, 0)
        came += 1
    assert came == pytest.approx(RETURNS_PER_MINUTE + 60, abs=1)
    assert door.enter(BOB, 0) is None


def test_all_of_an_ipv6_64_are_one_address() -> None:
    door = arrivals(connections_per_address=2)
    hosts = ["2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:1::3", "2001:db8:0:2::1"]
    assert [door.enter(host, 0) for host in hosts] == [None, None, TOO_MANY, None]


def test_ipv4_within_ipv6_is_ipv4() -> None:
    door = arrivals(connections_per_address=1)
    assert door.enter(f"::ffff:{ANN}", 0) is None
    assert door.enter(ANN, 0) is TOO_MANY
    assert door.enter(f"::ffff:{BOB}", 0) is None


def test_addresses_are_forgotten_when_they_are_gone_for_a_minute() -> None:
    door = arrivals()
    for number in range(200):
        door.enter(f"192.0.2.{number}", 0)
        door.leave(f"192.0.2.{number}")
    door.enter("198.51.100.1", 61)
    assert len(door._new._empty) == 1
    assert len(door._inside) == 1


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_ORIGINS", 10)
    door = arrivals()
    for number in range(200):
        door.enter(f"192.0.2.{number}", 0)
        door.leave(f"192.0.2.{number}")
    assert len(door._new._empty) == 10
    assert "192.0.2.199/32" in door._new._empty
    assert not door._inside


def test_a_network_is_trusted_with_all_its_addresses() -> None:
    trust = Trust(["10.0.0.0/8", "::1/128"])
    assert [each in trust for each in ("10.1.2.3", "::ffff:10.1.2.3", "::1")] == [True] * 3
    assert [each in trust for each in ("11.1.2.3", "::2", "somewhere")] == [False] * 3


def test_refusals_are_one_line_a_second_that_tells_of_all(caplog: pytest.LogCaptureFixture) -> None:
    refusals = Refusals()
    with caplog.at_level(logging.WARNING):
        refusals.note("full", ANN)
        for _ in range(1_000):
            refusals.note("address", ANN)
        refusals.note("full", BOB)
        assert len(caplog.records) == 1
        refusals.close()
        refusals.close()
    assert [record.getMessage() for record in caplog.records] == [
        f"rejected a connection (full=1, last from {ANN})",
        f"rejected 1,001 connections (address=1,000, full=1, last from {BOB})",
    ]
    assert refusals.counts == {"full": 2, "address": 1_000}


def test_what_was_not_told_is_told_a_second_later(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert limits.LINE_SECONDS == 1
    monkeypatch.setattr(limits, "LINE_SECONDS", 0.001)
    refusals = Refusals()
    with caplog.at_level(logging.WARNING), gevent.Timeout(5):
        refusals.note("full", ANN)
        refusals.note("full", BOB)
        while len(caplog.records) < 2:
            gevent.sleep(0.001)
    assert caplog.records[-1].getMessage() == f"rejected a connection (full=1, last from {BOB})"
    refusals.close()


def paces(pace: Pace, *moments: float, tokens: int = 1) -> list[float]:
    """Give the pause before each message that comes at a moment."""
    return [round(pace.take(tokens, moment), 3) for moment in moments]


def test_five_messages_may_come_at_once_and_then_two_a_second() -> None:
    pace = Pace(Limits(), Counter())
    assert paces(pace, *[0.0] * 8) == [0, 0, 0, 0, 0, 0.5, 1.0, 1.5]
    assert paces(pace, 4.0, 4.0) == [0, 0]
    assert pace.counts == {"pauses": 3}


def test_who_was_quiet_has_five_again_and_no_more() -> None:
    pace = Pace(Limits(), Counter())
    assert paces(pace, *[100.0] * 6) == [0, 0, 0, 0, 0, 0.5]
    assert paces(pace, *[1_000.0] * 6) == [0, 0, 0, 0, 0, 0.5]


def test_two_a_second_are_never_paused() -> None:
    pace = Pace(Limits(), Counter())
    assert paces(pace, *(number / 2 for number in range(1_000))) == [0] * 1_000


def test_a_long_message_is_paid_for_by_the_next() -> None:
    pace = Pace(Limits(), Counter())
    assert paces(pace, 0.0, tokens=17) == [0]
    assert paces(pace, 0.0) == [6.5]


def test_no_message_makes_the_next_wait_longer_than_30_seconds() -> None:
    pace = Pace(Limits(), Counter())
    assert paces(pace, 0.0, tokens=1_000_000) == [0]
    assert paces(pace, 0.0) == [28]  # of the 30 the bucket gives what it held


def test_only_who_keeps_too_much_waiting_for_long_is_closed() -> None:
    pace = Pace(Limits(messages_at_once=1), Counter())
    pace.take(1, 100)
    for moment in range(100, 130):
        pace.check(100_000, moment)
    pace.check(10_000, 130)  # it got less
    for moment in range(131, 161):
        pace.check(100_000, moment)
    with pytest.raises(ProtocolError) as caught:
        pace.check(100_000, 161)
    assert caught.value.reason is FLOOD


def test_who_need_not_be_paused_any_more_begins_anew() -> None:
    pace = Pace(Limits(messages_at_once=1), Counter())
    pace.take(1, 100)
    pace.check(100_000, 100)
    assert not pace.take(1, 120)
    pace.check(100_000, 131)
