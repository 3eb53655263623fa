"""The rate limit of messages, with a clock that the test controls."""

from collections import Counter

import pytest

from geventchat.config import Limits
from geventchat.protocol.errors import FLOOD, ProtocolError
from geventchat.server.transport.token_bucket import TokenBucket


def paces(pace: TokenBucket, *moments: float, tokens: int = 1) -> list[float]:
    """Return the pause before each message at a time."""
    return [round(pace.take(tokens, moment), 3) for moment in moments]


def test_five_messages_may_come_at_once_and_then_two_a_second() -> None:
    pace = TokenBucket(Limits(), Counter())
    assert paces(pace, *[0.0] * 8) == [0, 0, 0, 0, 0, 0.5, 1.0, 1.5]
    assert paces(pace, 4.0, 4.0) == [0, 0]
    assert pace.counts == {"pauses": 3}


def test_a_quiet_client_has_its_burst_of_five_again_and_no_more() -> None:
    pace = TokenBucket(Limits(), Counter())
    assert paces(pace, *[100.0] * 6) == [0, 0, 0, 0, 0, 0.5]
    assert paces(pace, *[1_000.0] * 6) == [0, 0, 0, 0, 0, 0.5]


def test_two_messages_a_second_are_never_throttled() -> None:
    pace = TokenBucket(Limits(), Counter())
    assert paces(pace, *(number / 2 for number in range(1_000))) == [0] * 1_000


def test_a_long_message_delays_the_next_one() -> None:
    pace = TokenBucket(Limits(), Counter())
    assert paces(pace, 0.0, tokens=17) == [0]
    assert paces(pace, 0.0) == [6.5]


def test_no_message_delays_the_next_by_more_than_30_seconds() -> None:
    pace = TokenBucket(Limits(), Counter())
    assert paces(pace, 0.0, tokens=1_000_000) == [0]
    assert paces(pace, 0.0) == [28]  # 30 less the tokens in the bucket


def test_only_a_client_with_too_much_waiting_for_too_long_is_closed() -> None:
    pace = TokenBucket(Limits(messages_at_once=1), Counter())
    pace.take(1, 100)
    for moment in range(100, 130):
        pace.check(100_000, moment)
    pace.check(10_000, 130)  # it got less
    for moment in range(131, 161):
        pace.check(100_000, moment)
    with pytest.raises(ProtocolError) as caught:
        pace.check(100_000, 161)
    assert caught.value.reason is FLOOD


def test_a_client_no_longer_throttled_starts_afresh() -> None:
    pace = TokenBucket(Limits(messages_at_once=1), Counter())
    pace.take(1, 100)
    pace.check(100_000, 100)
    assert not pace.take(1, 120)
    pace.check(100_000, 131)


def test_a_charge_delays_the_next_message_and_by_30_seconds_at_most() -> None:
    pace = TokenBucket(Limits(), Counter())
    assert pace.take(1, 0.0) == 0
    pace.charge(8, 0.0)  # the burst has four left
    assert pace.take(1, 0.0) == pytest.approx(2.5)
    pace.charge(1_000_000, 0.0)
    assert pace.take(1, 0.0) <= 30
