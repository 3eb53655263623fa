"""Connection limits per address, with a clock that the test controls."""

import pytest

from geventchat.config import Limits
from geventchat.server.access import rate_limits as limits
from geventchat.server.access.rate_limits import (
    RETURNS_PER_MINUTE,
    TOO_MANY,
    TOO_OFTEN,
    ConnectionLimiter,
)

ANN, BOB = "192.0.2.1", "192.0.2.2"


def limiter(**changed: int) -> ConnectionLimiter:
    return ConnectionLimiter(Limits(**changed))


def test_an_address_has_256_connections_and_60_new_ones_a_minute() -> None:
    assert (Limits().connections_per_address, Limits().arrivals_per_minute) == (256, 60)


def test_each_address_has_its_own_connection_limit() -> None:
    door = limiter(connections_per_address=2)
    assert [door.enter(ANN, 0) for _ in range(3)] == [None, None, TOO_MANY]
    assert door.enter(BOB, 0) is None
    door.leave(ANN)
    assert door.enter(ANN, 0) is None


def test_an_address_gets_its_new_connections_back_one_a_second() -> None:
    door = limiter()
    assert [door.enter(ANN, 0) for _ in range(62)] == [None] * 60 + [TOO_OFTEN] * 2
    assert door.enter(BOB, 0) is None
    assert [door.enter(ANN, 1) for _ in range(2)] == [None, TOO_OFTEN]
    assert [door.enter(ANN, 61) for _ in range(61)] == [None] * 60 + [TOO_OFTEN]


def test_a_rejected_connection_does_not_prolong_the_wait() -> None:
    door = limiter(arrivals_per_minute=1)
    assert door.enter(ANN, 0) is None
    assert {door.enter(ANN, second) for second in range(1, 60)} == {TOO_OFTEN}
    assert door.enter(ANN, 60) is None


def test_returning_clients_are_not_counted() -> None:
    door = limiter(arrivals_per_minute=2)
    for _ in range(10):
        assert door.enter(ANN, 0) is None
        door.forgive(ANN, 0)
    assert [door.enter(ANN, 0) for _ in range(3)] == [None, None, TOO_OFTEN]


def test_endless_reconnects_are_counted_eventually() -> None:
    door = limiter()
    came = 0
    while door.enter(ANN, 0) is None:
        door.leave(ANN)
        door.forgive(ANN, 0)
        came += 1
    assert came == pytest.approx(RETURNS_PER_MINUTE + 60, abs=1)
    assert door.enter(BOB, 0) is None


def test_all_of_an_ipv6_64_are_one_address() -> None:
    door = limiter(connections_per_address=2)
    hosts = ["2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:1::3", "2001:db8:0:2::1"]
    assert [door.enter(host, 0) for host in hosts] == [None, None, TOO_MANY, None]


def test_link_local_addresses_are_counted_each_for_itself() -> None:
    door = limiter(connections_per_address=1)
    hosts = ["fe80::1%eth0", "fe80::2%eth0", "fe80::1%eth1", "fe80::1", "fe80::2%eth0", "::1"]
    assert [door.enter(host, 0) for host in hosts] == [None, None, None, None, TOO_MANY, None]


def test_ipv4_within_ipv6_is_ipv4() -> None:
    door = limiter(connections_per_address=1)
    assert door.enter(f"::ffff:{ANN}", 0) is None
    assert door.enter(ANN, 0) is TOO_MANY
    assert door.enter(f"::ffff:{BOB}", 0) is None


def test_addresses_are_forgotten_a_minute_after_they_left() -> None:
    door = limiter()
    for number in range(200):
        door.enter(f"192.0.2.{number}", 0)
        door.leave(f"192.0.2.{number}")
    door.enter("198.51.100.1", 61)
    assert len(door._new._empty) == 1
    assert len(door._inside) == 1


def test_memory_for_addresses_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_ORIGINS", 10)
    door = limiter()
    for number in range(200):
        door.enter(f"192.0.2.{number}", 0)
        door.leave(f"192.0.2.{number}")
    assert len(door._new._empty) == 10
    assert "192.0.2.199/32" in door._new._empty
    assert not door._inside
