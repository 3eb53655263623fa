"""The attacks in small: each does no harm, and would be seen if it did."""

from loadtests.hostile.connects import ConnectResult, connect_and_close
from loadtests.hostile.flood import FloodResult, flood
from loadtests.hostile.server import Held
from loadtests.hostile.slow_loris import SlowLorisResult, slow_loris


def test_the_slow_are_gone_in_time_and_a_legitimate_client_comes_in_meanwhile() -> None:
    outcome = slow_loris(150, frame_seconds=1, handshake_seconds=1)
    assert outcome.good, str(outcome)
    assert {kind: len(gone) for kind, gone in outcome.gone.items()} == {
        "frame": 50,
        "request": 50,
        "TLS": 50,
    }
    assert len(outcome.connects) > 3


def test_nothing_stays_behind_of_those_who_pass_by() -> None:
    outcome = connect_and_close(1_500, warm_up=1_000)
    assert outcome.good, str(outcome)
    assert outcome.turned_away


def test_flooders_cost_the_talkers_of_their_rooms_no_message() -> None:
    outcome = flood(40, 4, turns=1, seconds=1, every=0.25)
    assert outcome.said >= 100
    assert not outcome.lost, str(outcome)


def test_harm_is_told() -> None:
    assert not SlowLorisResult({"TLS": 5.0}, {"TLS": [5.1, 8.0]}, [0.1]).good
    assert not SlowLorisResult({"TLS": 5.0}, {"TLS": [5.1]}, [0.1, 1.1]).good
    assert not SlowLorisResult({"TLS": 5.0}, {"TLS": [5.1]}, [0.1], left=1).good
    assert not SlowLorisResult({"TLS": 5.0}, {"TLS": [0.1, 5.1]}, [0.1]).good
    assert SlowLorisResult({"TLS": 5.0}, {"TLS": [5.1]}, [0.1]).good
    nobody = SlowLorisResult({"TLS": 5.0}, left=1)
    assert not nobody.good
    assert "connected 0 times" in str(nobody)
    before = Held(50.0, 12, 3)
    for after in (Held(60.0, 12, 3), Held(50.0, 13, 3), Held(50.0, 12, 4)):
        assert not ConnectResult(1, 1.0, before, after, 0, 0).good
    assert not ConnectResult(1, 1.0, before, before, 0, tracebacks=1).good
    assert not ConnectResult(1, 1.0, before, before, 0, 0, lines=101).good
    assert ConnectResult(1, 1.0, before, before, 0, 0, lines=100).good
    assert not FloodResult([10.0], [13.0], said=10).good
    assert not FloodResult([10.0], [10.0], said=10, lost=1).good
