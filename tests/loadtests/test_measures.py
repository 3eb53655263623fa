import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.support.measures import Histogram, Tally

seconds = st.floats(1e-6, 100)


@given(st.lists(seconds, min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_within_the_two_percent_of_a_bucket(times: list[float], share: float) -> None:
    histogram = Histogram()
    for each in times:
        histogram.add(each)
    rank = max(-(-share * len(times) // 1), 1)
    assert histogram.quantile(share) == pytest.approx(sorted(times)[int(rank) - 1], rel=0.02)


def test_nothing_timed_has_no_quantile() -> None:
    assert Histogram().quantile(0.5) is None


@given(st.lists(seconds), st.lists(seconds))
def test_two_tallies_are_one_after_they_travelled(here: list[float], there: list[float]) -> None:
    whole, parts = Tally(), Tally()
    for times in (here, there):
        tally = Tally()
        for each in times:
            tally.time("heard", each)
            tally.counts["delivered"] += 1
            whole.time("heard", each)
        parts.add(json.loads(json.dumps(tally.take())))
        assert tally.take() == {"connected": 0, "counts": {}, "times": {}}

    assert parts.counts["delivered"] == len(here) + len(there)
    merged = {name: times.buckets() for name, times in parts.times.items()}
    assert merged == {name: times.buckets() for name, times in whole.times.items()}
