"""The histogram of durations."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client import Histogram as PrometheusHistogram

from geventchat.server.histogram import BOUNDS, Histogram


@given(st.lists(st.one_of(st.floats(0, 20), st.sampled_from(BOUNDS))))
def test_durations_are_counted_in_cumulative_buckets(lengths: list[float]) -> None:
    times = Histogram()
    theirs = PrometheusHistogram("times", "", registry=CollectorRegistry(), buckets=BOUNDS)
    for seconds in lengths:
        times.observe(seconds)
        theirs.observe(seconds)
    (family,) = theirs.collect()
    samples = {(each.name, each.labels.get("le")): each.value for each in family.samples}
    assert times.count == samples["times_count", None]
    assert times.seconds == samples["times_sum", None]
    assert [(float(bound), count) for bound, count in times.buckets()] == [
        (float(bound), value) for (name, bound), value in samples.items() if bound is not None
    ]
